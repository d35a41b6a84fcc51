/* SPDX-License-Identifier: MIT */
/* "__complete" is called by the scripts of "completion". */
#include <errno.h>
#include <stdio.h>

#include "agent/base/auto.h"
#include "agent/cli/client/names.h"
#include "agent/cli/commands/command_table.h"

static int run_complete(const struct cli_call *call, struct pi_error *err)
{
    pi_auto_buf struct pi_buf lines = {0};
    const char *const nothing[] = {"", NULL};
    const char *const *words = call->count ? (const char *const *)call->operands : nothing;
    if (cli_complete(cli_commands, words, cli_names, &lines) < 0)
        return pi_fail(err, ENOMEM, "completion");
    fputs(lines.data ? lines.data : "", stdout);
    return PI_OK;
}

const struct cli_command cli_command__complete = {
    .name = "__complete",
    .operands = "-- WORD...",
    .summary = "prints what may come next on a command line, for the scripts of piagent completion",
    .example = "piagent __complete -- ima",
    .max_operands = 4096,
    .operand = CLI_TEXT,
    .run = run_complete,
};
