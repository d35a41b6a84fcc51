/* SPDX-License-Identifier: MIT */
/* The names that completions offer: of instances and images. */
#ifndef PIAGENT_CLI_NAMES_H
#define PIAGENT_CLI_NAMES_H

#include "agent/cli/terminal/complete.h"

/* Offers the names of instances and of stored images. It asks the agent for the former, for at most a second;
 * if none runs, it lists the instances' folders, whatever their state. It never starts an agent and prints
 * nothing. */
cli_names_fn cli_names;

#endif
