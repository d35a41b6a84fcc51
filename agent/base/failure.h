/* SPDX-License-Identifier: MIT */
/* A failure as JSON: the API, the workers and commands with --json tell it in this shape. */
#ifndef PIAGENT_BASE_FAILURE_H
#define PIAGENT_BASE_FAILURE_H

#include "agent/base/error.h"
#include "agent/base/fields.h"

/* {"kind": "not-found", "message": "..."} */
struct pi_failure {
    PI_OPEN_ENUM(pi_kind, kind); /* a kind that this version does not know is PI_FAILED */
    char *message;
};
extern const struct pi_field pi_failure_fields[];

/* A new reference, its message cleaned (pi_text_clean); NULL without memory. */
json_t *pi_failure_write(const struct pi_error *err);

/* Fills *ret from such an object. -EINVAL if it is not one; *ret is then untouched. */
int pi_failure_read(const json_t *object, struct pi_error *ret);

#endif
