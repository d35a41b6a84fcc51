/* SPDX-License-Identifier: MIT */
/* A value of a cloud-config against the shape that cloud-init takes there. */
#ifndef PIAGENT_SEED_SHAPE_CHECK_H
#define PIAGENT_SEED_SHAPE_CHECK_H

#include "agent/seed/findings.h"
#include "agent/seed/schema.h"

struct seed_value {
    enum seed_type type;
    const char *text; /* of a scalar */
    size_t length;
    size_t line, column; /* from 1 */
    const char *path;    /* as people read it: "users[0].name" */
};

/* Adds what is wrong with the value. A list or mapping in the wrong place is an error, as the guest's module
 * would fail at it; a scalar of another type, which most modules convert, a warning. */
void seed_shape_check(const struct seed_shape *shape, const struct seed_value *value,
                      struct seed_findings *findings);

#endif
