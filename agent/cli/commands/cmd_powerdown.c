/* SPDX-License-Identifier: MIT */
/* "powerdown" asks guests to power themselves off, and makes sure of it. */
#include "agent/cli/commands/command_table.h"
#include "agent/cli/commands/verb.h"

static int run_powerdown(const struct cli_call *call, struct pi_error *err)
{
    bool forced = false;
    int r = cli_run_stop(call, &forced, err);
    return r == PI_OK && forced ? PI_TIMEOUT : r;
}

static const struct cli_option powerdown_table[] = {
    CLI_SELECTION_OPTIONS(cli_stop_options, 'a', "all that run, instead of NAME..."),
    {.name = "timeout",
     CLI_MEMBER(CLI_DURATION, cli_stop_options, timeout_ms),
     .argument = "TIME",
     .help = "how long the guest may go on without a sign of life (default: 90s); in all it has 10 minutes"},
    CLI_STEP_OPTION,
    CLI_RESULTS_OPTION(cli_stop_options),
    {0},
};

const struct cli_command cli_command_powerdown = {
    .name = "powerdown",
    .operands = "NAME...",
    .summary = "asks the guest to power itself off, and makes sure of it",
    .details =
        "If a guest does not, piagent tells QEMU to quit, then terminates it, then kills it, and shows each step.\n"
        "The exit code is 9 if the guest did not power itself off.",
    .example = "piagent powerdown pi-1 --timeout 2m",
    .options = powerdown_table,
    .values_size = sizeof(struct cli_stop_options),
    .min_operands = 1,
    .max_operands = CLI_NAMES_MAX,
    .operand = CLI_MACHINE_LIVE,
    .run = run_powerdown,
};
