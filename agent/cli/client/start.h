/* SPDX-License-Identifier: MIT */
/* Starting instances that are there and waiting until they are ready: "start -d" and "restart". */
#ifndef PIAGENT_CLI_START_H
#define PIAGENT_CLI_START_H

#include "agent/cli/client/chosen.h"
#include "agent/cli/client/wait.h"

/* Starts one; *instance is then as the agent answers. */
int cli_start_one(struct cli_agent *agent, struct api_instance *instance, struct pi_error *err);

/* Starts the chosen instances that have a name, and waits for them; reorders chosen. If one cannot be
 * started, its error is told at once, and the others are started all the same. The exit code, or negative
 * with err filled. */
int cli_start_all(struct cli_agent *agent, struct cli_chosen *chosen, const struct cli_wait *how,
                  struct pi_error *err);

#endif
