/* SPDX-License-Identifier: MIT */
/* Tells a command's failure: one line on standard error, and the exit code. */
#ifndef PIAGENT_CLI_ERROR_REPORT_H
#define PIAGENT_CLI_ERROR_REPORT_H

#include "agent/base/error.h"

/* Prints the error as it stands, "piagent: ..." in one line on standard error, and returns its exit code. */
int cli_report(const struct pi_error *err);

/* The same for tools, if --json was asked for: {"error": {...}}. */
int cli_report_json(const struct pi_error *err);

#endif
