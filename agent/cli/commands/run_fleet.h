/* SPDX-License-Identifier: MIT */
/* run --count: a fleet of equal instances. */
#ifndef PIAGENT_CLI_RUN_FLEET_H
#define PIAGENT_CLI_RUN_FLEET_H

#include "agent/cli/commands/run_options.h"

/* Makes NAME-1 to NAME-N as a fleet of one entry, and starts them as piagent up does. request is of one instance
 * (cli_create_request()). The exit code, or negative with err filled. */
int cli_run_fleet(const struct cli_create *options, const char *name, json_t *request, struct pi_error *err);

#endif
