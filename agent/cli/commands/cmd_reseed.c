/* SPDX-License-Identifier: MIT */
/* "reseed" serves guests the seed of their first boot again. */
#include "agent/cli/commands/command_table.h"
#include "agent/cli/commands/verb.h"

const struct cli_command cli_command_reseed = {
    .name = "reseed",
    .operands = "NAME...",
    .summary = "serves guests the seed of their first boot again",
    .details =
        "The agent serves the user-data, the password and the SSH host key up to the end of a guest's first\n"
        "successful boot, because every process in the guest can fetch them. If you run \"cloud-init clean\" in the\n"
        "guest, it needs them again: the agent serves them from now on, up to the end of its next successful boot.",
    .example = "piagent reseed pi-1",
    .options = cli_request_options,
    .values_size = sizeof(struct cli_request_options),
    .min_operands = 1,
    .max_operands = CLI_NAMES_MAX,
    .operand = CLI_MACHINE,
    .destructive = true,
    .run = cli_run_request,
};
