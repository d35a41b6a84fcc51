/* SPDX-License-Identifier: MIT */
/* "console" attaches to a guest's serial console. */
#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/cli/client/console_attach.h"
#include "agent/cli/commands/command_table.h"

#define CONSOLE_TAIL 4096

static int run_console(const struct cli_call *call, struct pi_error *err)
{
    const char *name = call->operands[0];
    pi_auto_agent struct cli_agent agent = {0};
    pi_auto_instance struct api_instance instance = {0};
    pi_auto_follow struct cli_follow follow = {0};
    enum cli_console_end end;
    int r = cli_connect(&agent, err);
    if (r == 0)
        r = cli_get_instance(&agent, name, &instance, err);
    if (r == 0 && cli_state_is_over(instance.state) && !cli_instance_may_start(&instance, pi_realtime_ms()))
        r = pi_refuse(err, PI_CONFLICT, "%s is %s: piagent logs %s shows its output", name,
                      api_state_word(&instance), name);
    if (r == 0)
        r = cli_follow_open(&follow, &agent, &instance, err);
    if (r == 0)
        r = cli_console_attach(&follow, CONSOLE_TAIL, true, &end, err);
    if (r == 0 && end == CLI_CONSOLE_DETACHED)
        cli_console_tell_left(&follow);
    if (r == 0 && end == CLI_CONSOLE_OVER)
        cli_console_tell_over(&follow);
    return r;
}

const struct cli_command cli_command_console = {
    .name = "console",
    .operands = "NAME",
    .summary = "attaches to the guest's serial console",
    .details =
        "Ctrl-] leaves it. If standard input is no terminal, its bytes go to the guest as they are, and the\n"
        "guest's output is shown until an interrupt.\n\n"
        "The guest does not hear when the size of this terminal changes: tell it there, with resize (of\n"
        "xterm) or stty rows 40 cols 120. piagent ssh passes sizes on.",
    .example = "piagent console pi-1",
    .min_operands = 1,
    .max_operands = 1,
    .operand = CLI_MACHINE_LIVE,
    .run = run_console,
};
