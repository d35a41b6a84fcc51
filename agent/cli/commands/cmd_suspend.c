/* SPDX-License-Identifier: MIT */
/* "suspend" saves the memory of instances to disk, and ends their QEMUs. */
#include "agent/cli/client/instance_follow.h"
#include "agent/cli/client/task.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/commands/verb.h"

static int run_suspend(const struct cli_call *call, struct pi_error *err)
{
    const struct cli_request_options *options = call->values;
    pi_auto_task struct cli_task task = {.request = "suspend"};
    int r = cli_task_begin(&task, call, &options->which, CLI_MACHINE_LIVE, options->json, err);
    if (r < 0)
        return r;
    int asked = cli_task_each(&task, cli_task_request), saved = cli_task_each(&task, cli_task_await_suspend);
    return cli_task_end(&task, saved > CLI_EXIT_SIGNAL || !asked ? saved : asked, err);
}

const struct cli_command cli_command_suspend = {
    .name = "suspend",
    .operands = "NAME...",
    .summary = "saves the memory of instances to disk and ends QEMU; start goes on from there",
    .details =
        "piagent start then goes on where the guest was, in a second or two, also after a restart of the host: its\n"
        "processes, its console, its ports and networks are as before, and its clock is set. The saved state takes\n"
        "as much disk as the guest has touched memory, and none of the host's memory. It is used once: the next\n"
        "start removes it. It needs the same instance, its disk as it was, and the same version of QEMU;\n"
        "piagent start --cold drops it. piagent pause only stops the processors: QEMU keeps the memory, and a\n"
        "restart of the host ends it.",
    .example = "piagent suspend pi-1",
    .options = cli_request_options,
    .values_size = sizeof(struct cli_request_options),
    .min_operands = 1,
    .max_operands = CLI_NAMES_MAX,
    .operand = CLI_MACHINE_LIVE,
    .run = run_suspend,
};
