/* SPDX-License-Identifier: MIT */
/* Randomness from the kernel (getrandom(2)). */
#ifndef PIAGENT_BASE_RANDOM_H
#define PIAGENT_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#define PI_HEX_MAX 64

int pi_random_bytes(void *ret, size_t size);

/* digits (even, at most PI_HEX_MAX) random hexadecimal digits, lower case, and a NUL. 0 or -errno. */
int pi_random_hex(size_t digits, char *ret);

/* A random UUID (RFC 9562, version 4) as 36 characters and a NUL. */
#define PI_UUID_LENGTH 36
int pi_random_uuid(char ret[PI_UUID_LENGTH + 1]);

#endif
