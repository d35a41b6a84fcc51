/* SPDX-License-Identifier: MIT */
/* Starts instances that are there: start -d and restart. */
#ifndef PIAGENT_CLI_LAUNCH_CHOSEN_H
#define PIAGENT_CLI_LAUNCH_CHOSEN_H

#include "agent/cli/client/chosen.h"
#include "agent/cli/commands/launch_pass.h"

/*
 * Starts the chosen instances that have a name, as cli_launch_pass() does, and waits for them. The order is that of their fleets,
 * which each instance knows; one that is not chosen is not waited for. The memory is checked if they are several. cold: saved states
 * are dropped. command is what the user gave: "piagent start". The exit code, or negative with err filled.
 */
int cli_launch_chosen(struct cli_agent *agent, const struct cli_chosen *chosen, const struct cli_wait *how,
                      const struct cli_pace *pace, bool cold, const char *command, struct pi_error *err);

#endif
