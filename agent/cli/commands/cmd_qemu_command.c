/* SPDX-License-Identifier: MIT */
/* "qemu-command" prints an instance's QEMU command. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/cli/commands/command_table.h"
#include "agent/cli/commands/qemu_words.h"
#include "agent/cli/terminal/table.h"

/* On a terminal each option begins a line; elsewhere all is one line. A shell reads both alike. */
static const char *before_argument(size_t i, const char *word)
{
    return i == 0 ? "" : word[0] == '-' && isatty(STDOUT_FILENO) ? " \\\n    " : " ";
}

static int run_qemu_command(const struct cli_call *call, struct pi_error *err)
{
    const struct cli_qemu_options *options = call->values;
    json_auto_t *reply = NULL;
    int r = cli_get_qemu_command(call, &reply, err);
    if (r < 0)
        return r;
    json_t *argv = json_object_get(reply, "argv");
    if (!options->json)
        return cli_print_words(argv, before_argument, err);
    json_auto_t *shown = json_pack("{s:O}", "argv", argv);
    return shown ? cli_json_print(shown, err) : pi_fail(err, ENOMEM, "qemu-command");
}

const struct cli_command cli_command_qemu_command = {
    .name = "qemu-command",
    .operands = "NAME",
    .summary = "prints a machine's QEMU command, shell-quoted",
    .details =
        "It is what the agent starts, and needs the agent: what is named by fd=NUMBER is a socket that the\n"
        "agent hands to QEMU, and -S waits for its word. With --standalone the command runs as it is, for an\n"
        "instance that is stopped: the console is the terminal, and Ctrl-A X ends QEMU. The agent takes no\n"
        "part in it: it serves no seed, so that cloud-init does what it does at a later boot, and --memory-max\n"
        "and --cpu-quota do not hold.",
    .example = "piagent qemu-command --standalone pi-1",
    .options = cli_qemu_options,
    .values_size = sizeof(struct cli_qemu_options),
    .min_operands = 1,
    .max_operands = 1,
    .operand = CLI_MACHINE,
    .run = run_qemu_command,
};
