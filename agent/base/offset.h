/* SPDX-License-Identifier: MIT */
/*
 * offsetof() for tables that bind a struct's members by their offsets: the compiler checks the member's type.
 */
#ifndef PIAGENT_BASE_OFFSET_H
#define PIAGENT_BASE_OFFSET_H

#include <stddef.h>

/* pointer is the type of a pointer to the member: "uint64_t *". A member of another type does not compile. */
#define PI_OFFSET(struct_, member, pointer) \
    _Generic(&((struct struct_ *)0)->member, pointer : offsetof(struct struct_, member))

#endif
