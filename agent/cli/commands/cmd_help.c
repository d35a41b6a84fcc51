/* SPDX-License-Identifier: MIT */
/* "help" shows the commands, the options of one, or a topic. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/terminal/colour.h"
#include "agent/cli/terminal/help.h"
#include "agent/cli/terminal/lookup.h"
#include "agent/cli/terminal/topics.h"

/* 1 = nothing is called so. */
static int find_text(const struct cli_call *call, struct pi_buf *ret)
{
    unsigned width = cli_text_width(STDOUT_FILENO);
    const char *first = call->operands[0];
    size_t taken;
    if (call->count == 0)
        return cli_help_all(cli_commands, width, ret);
    const struct cli_topic *topic = call->count == 1 ? cli_topic_named(first) : NULL;
    if (topic) /* before a command that other tools call so: "images" */
        return cli_topic_help(topic, width, ret);
    const struct cli_command *command = cli_find_command(cli_commands, call->operands, call->count, &taken);
    if (command && taken == call->count)
        return cli_help(command, width, ret);
    return call->count == 1 && cli_is_group(cli_commands, first)
               ? cli_help_group(cli_commands, first, width, ret)
               : 1;
}

static int run_help(const struct cli_call *call, struct pi_error *err)
{
    pi_auto_buf struct pi_buf text = {0};
    int r = find_text(call, &text);
    if (r > 0)
        return cli_refuse_command(cli_commands, call->operands, call->count, true, err);
    if (r < 0)
        return pi_fail(err, ENOMEM, "help");
    fputs(text.data, stdout);
    return PI_OK;
}

const struct cli_command cli_command_help = {
    .name = "help",
    .operands = "[COMMAND | TOPIC]",
    .summary = "shows the commands, the options of one, or a topic",
    .example = "piagent help exit-codes",
    .max_operands = 2,
    .operand = CLI_COMMAND,
    .site = CLI_HERE,
    .run = run_help,
};
