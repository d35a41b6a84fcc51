/* SPDX-License-Identifier: MIT */
/* "pause" stops the processors of instances. */
#include "agent/cli/commands/command_table.h"
#include "agent/cli/commands/verb.h"

const struct cli_command cli_command_pause = {
    .name = "pause",
    .operands = "NAME...",
    .summary = "stops the processors of instances",
    .example = "piagent pause pi-1",
    .options = cli_request_options,
    .values_size = sizeof(struct cli_request_options),
    .min_operands = 1,
    .max_operands = CLI_NAMES_MAX,
    .operand = CLI_MACHINE_LIVE,
    .run = cli_run_request,
};
