/* SPDX-License-Identifier: MIT */
/* Shows a user-data file's findings, for "validate" and "run --user-data". */
#ifndef PIAGENT_CLI_USER_DATA_FINDINGS_H
#define PIAGENT_CLI_USER_DATA_FINDINGS_H

#include <stdbool.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/seed/user_data.h"

/* Collects what piagent and this host's cloud-init find. ret is empty before. On a terminal it says what it
 * waits for. */
int cli_user_data_findings(const struct pi_buf *text, enum seed_kind *ret_kind, struct seed_findings *ret,
                           struct pi_error *err);

/* For "run": prints warnings on standard error, and refuses errors (PI_USAGE). If accept is set, it prints
 * errors, too, and refuses none. */
int cli_user_data_check(const char *path, const struct pi_buf *text, bool accept, struct pi_error *err);

#endif
