/* SPDX-License-Identifier: MIT */
/* Starting an instance that is there. */
#ifndef PIAGENT_CLI_START_H
#define PIAGENT_CLI_START_H

#include "agent/cli/client/connect.h"

/* Starts one; *instance is then as the agent answers. cold: the saved state of a saved one is dropped. */
int cli_start_one(struct cli_agent *agent, struct api_instance *instance, bool cold, struct pi_error *err);

#endif
