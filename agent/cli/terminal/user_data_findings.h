/* SPDX-License-Identifier: MIT */
/* A user-data file's findings, as "validate" and "run --user-data" show them. */
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

/* For "run": warnings go to standard error, errors refuse (PI_USAGE) unless they are accepted, when they are
 * told as well. */
int cli_user_data_check(const char *path, const struct pi_buf *text, bool accept, struct pi_error *err);

#endif
