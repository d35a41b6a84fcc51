/* SPDX-License-Identifier: MIT */
/* "kill" ends instances at once. */
#include "agent/cli/commands/command_table.h"
#include "agent/cli/commands/verb.h"

static int run_kill(const struct cli_call *call, struct pi_error *err)
{
    bool forced;
    return cli_run_stop(call, &forced, err);
}

static const struct cli_option kill_table[] = {
    CLI_SELECTION_OPTIONS(cli_stop_options, 0, "all that run, instead of NAME..."),
    CLI_STEP_OPTION,
    CLI_RESULTS_OPTION(cli_stop_options),
    {0},
};

const struct cli_command cli_command_kill = {
    .name = "kill",
    .operands = "NAME...",
    .summary = "ends instances at once, as pulling the plug does",
    .details =
        "piagent tells QEMU to quit, which writes to the disk what the guest has written; then it terminates QEMU, then it kills it.",
    .example = "piagent kill pi-1",
    .options = kill_table,
    .values_size = sizeof(struct cli_stop_options),
    .min_operands = 1,
    .max_operands = CLI_NAMES_MAX,
    .operand = CLI_MACHINE_LIVE,
    .destructive = true,
    .run = run_kill,
};
