/* SPDX-License-Identifier: MIT */
/* "__complete" is called by the scripts of "completion". */
#include <errno.h>
#include <stdio.h>

#include "agent/base/auto.h"
#include "agent/cli/client/names.h"
#include "agent/cli/client/remote_host.h"
#include "agent/cli/commands/command_table.h"

static int run_complete(const struct cli_call *call, struct pi_error *err)
{
    pi_auto_buf struct pi_buf lines = {0};
    char empty[] = "", *nothing[] = {empty, NULL}, **words = call->count ? call->operands : nothing;
    int host = words[1] ? cli_host_take(words, err) : 0;
    if (host < 0 || !words[host]) /* the URL of a host is the user's to write */
        return PI_OK;
    if (cli_complete(cli_commands, (const char *const *)words + host, cli_names, &lines) < 0)
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
    .site = CLI_HERE,
    .run = run_complete,
};
