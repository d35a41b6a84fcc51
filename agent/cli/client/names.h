/* SPDX-License-Identifier: MIT */
/* The names that completions offer: of instances and images. */
#ifndef PIAGENT_CLI_NAMES_H
#define PIAGENT_CLI_NAMES_H

#include "agent/cli/terminal/complete.h"

/* The names there are: of machines, as the agent says within a second (where none runs, as their folders say,
 * of any state), and of stored images. Never starts an agent, says nothing. */
cli_names_fn cli_names;

#endif
