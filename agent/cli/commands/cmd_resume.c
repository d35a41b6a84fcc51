/* SPDX-License-Identifier: MIT */
/* "resume" lets paused instances go on. */
#include "agent/cli/commands/command_table.h"
#include "agent/cli/commands/verb.h"

const struct cli_command cli_command_resume = {
    .name = "resume",
    .operands = "NAME...",
    .summary = "lets paused instances go on, and wakes suspended ones",
    .details = "An instance that piagent suspend has saved goes on with piagent start.",
    .example = "piagent resume pi-1",
    .options = cli_request_options,
    .values_size = sizeof(struct cli_request_options),
    .min_operands = 1,
    .max_operands = CLI_NAMES_MAX,
    .operand = CLI_MACHINE_LIVE,
    .run = cli_run_request,
};
