#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/cli/commands.h"
#include "agent/cli/connect.h"

/* On a terminal each option begins a line; elsewhere all is one line. A shell reads both alike. */
static int print_argv(const json_t *argv, struct pi_error *err)
{
    bool lines = isatty(STDOUT_FILENO);
    json_t *item;
    size_t i;
    json_array_foreach(argv, i, item)
    {
        const char *word = json_string_value(item);
        pi_auto_free char *quoted = word ? pi_shell_quote(word) : NULL;
        if (!quoted)
            return pi_refuse(err, PI_AGENT, "the agent's answer has no argv of strings");
        const char *before = i == 0 ? "" : lines && word[0] == '-' ? " \\\n    " : " ";
        printf("%s%s", before, quoted);
    }
    putchar('\n');
    return 0;
}

static int run_qemu_command(const struct cli_call *call, struct pi_error *err)
{
    pi_auto_agent struct cli_agent agent = {0};
    json_auto_t *reply = NULL;
    int r = cli_connect(&agent, err);
    if (r == 0)
        r = cli_call(&agent, "GET", call->operands[0], "qemu-command", NULL, &reply, err);
    return r < 0 ? r : print_argv(json_object_get(reply, "argv"), err);
}

const struct cli_command cli_command_qemu_command = {
    .name = "qemu-command",
    .operands = "NAME",
    .summary = "prints a machine's QEMU command, shell-quoted",
    .example = "piagent qemu-command pi-1",
    .min_operands = 1,
    .max_operands = 1,
    .run = run_qemu_command,
};
