/* SPDX-License-Identifier: MIT */
/* "restart": powerdown (or kill) and start, of one instance or several side by side. */
#include <errno.h>

#include "agent/base/auto.h"
#include "agent/cli/client/task.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/commands/launch_chosen.h"

struct restart_options {
    struct cli_selection which;
    struct cli_pace pace;
    uint64_t timeout_ms;
    bool force, json;
};

/* An ephemeral instance that is stopped has not run yet, and can be started. */
static int refuse_ephemeral(const struct cli_chosen *chosen, struct pi_error *err)
{
    for (size_t i = 0; i < chosen->count; i++)
        if (chosen->items[i].spec.ephemeral && !cli_state_is_over(chosen->items[i].state))
            return pi_refuse(
                err, PI_CONFLICT,
                "%s is ephemeral: it would be gone before it starts again; piagent reset %s boots "
                "it anew, without asking the guest",
                chosen->items[i].name, chosen->items[i].name);
    return 0;
}

static int run_restart(const struct cli_call *call, struct pi_error *err)
{
    const struct restart_options *options = call->values;
    const struct cli_wait how = {.login = true, .json = options->json};
    struct api_stop stop = {.timeout_ms = options->timeout_ms};
    json_auto_t *body = api_write(stop, &stop);
    pi_auto_task struct cli_task task = {
        .request = options->force ? "kill" : "powerdown", .body = body, .events = options->json};
    if (!body)
        return pi_fail(err, ENOMEM, "restart");
    int r = cli_task_begin(&task, call, &options->which, CLI_MACHINE_LIVE, false, err);
    if (r == 0)
        r = refuse_ephemeral(&task.chosen, err);
    if (r < 0)
        return r;
    int code = cli_task_stop(&task, cli_task_request);
    if (code > CLI_EXIT_SIGNAL)
        return code;
    r = cli_launch_chosen(&task.agent, &task.chosen, &how, &options->pace, false, "piagent start", err);
    return r < 0 || !code ? r : code;
}

static const struct cli_option table[] = {
    CLI_SELECTION_OPTIONS(restart_options, 0, "all that run, instead of NAME..."),
    {.name = "force",
     .letter = 'f',
     CLI_MEMBER(CLI_FLAG, restart_options, force),
     .help = "kill it instead of asking the guest to power itself off"},
    {.name = "timeout",
     CLI_MEMBER(CLI_DURATION, restart_options, timeout_ms),
     .argument = "TIME",
     .help = "how long the guest may go on without a sign of life (default: 90s); in all it has 10 minutes"},
    CLI_PACE_OPTIONS(restart_options, ""),
    {.name = "json", CLI_MEMBER(CLI_FLAG, restart_options, json), .help = "the events as JSON lines"},
    {0},
};

const struct cli_command cli_command_restart = {
    .name = "restart",
    .operands = "NAME...",
    .summary = "powers instances down and starts them again",
    .details =
        "Asks the guest to power itself off, as piagent powerdown does; then QEMU starts anew, and the command\n"
        "returns when the guest is ready. A stopped instance is just started. An interrupt while the guest stops\n"
        "leaves it stopped. piagent reset does not ask the guest.",
    .example = "piagent restart pi-1",
    .options = table,
    .values_size = sizeof(struct restart_options),
    .min_operands = 1,
    .max_operands = CLI_WAIT_MAX,
    .operand = CLI_MACHINE,
    .run = run_restart,
};
