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
    .summary = "prints an instance's QEMU command, shell-quoted",
    .details =
        "The agent starts this command, and it needs the agent: fd=NUMBER is a socket that the agent hands to\n"
        "QEMU, and with -S QEMU waits for the agent. With --standalone the command runs by itself, for an instance\n"
        "that is stopped: the terminal is the console, and Ctrl-A X ends QEMU. The agent takes no part: it serves\n"
        "no seed, so cloud-init does the same as at a later boot, and --memory-max and --cpu-quota do not hold.",
    .example = "piagent qemu-command --standalone pi-1",
    .options = cli_qemu_options,
    .values_size = sizeof(struct cli_qemu_options),
    .min_operands = 1,
    .max_operands = 1,
    .operand = CLI_MACHINE,
    .run = run_qemu_command,
};
