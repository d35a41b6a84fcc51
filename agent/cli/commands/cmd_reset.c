/* SPDX-License-Identifier: MIT */
/* "reset" resets instances, as the button does. */
#include "agent/cli/commands/command_table.h"
#include "agent/cli/commands/verb.h"

const struct cli_command cli_command_reset = {
    .name = "reset",
    .operands = "NAME...",
    .summary = "resets instances, as the reset button does",
    .example = "piagent reset pi-1",
    .options = cli_request_options,
    .values_size = sizeof(struct cli_request_options),
    .min_operands = 1,
    .max_operands = CLI_NAMES_MAX,
    .operand = CLI_MACHINE_LIVE,
    .destructive = true,
    .run = cli_run_request,
};
