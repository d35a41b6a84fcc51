/* SPDX-License-Identifier: MIT */
#include "agent/cli/commands/qemu_words.h"

#include <stdio.h>

#include "agent/base/auto.h"
#include "agent/cli/client/connect.h"
#include "agent/cli/client/instance_view.h"
#include "agent/cli/terminal/host_hint.h"

/* Warns that the command will fail: QEMU's own message is about locks. */
static int tell_live(struct cli_agent *agent, const char *name, struct pi_error *err)
{
    pi_auto_instance struct api_instance instance = {0};
    int r = cli_get_instance(agent, name, &instance, err);
    if (r == 0 && !cli_state_is_over(instance.state))
        cli_note("note: %s is %s, and its disk and ports are in use: first piagent powerdown %s", name,
                 api_state_word(&instance), name);
    return r;
}

int cli_get_qemu_command(const struct cli_call *call, json_t **ret, struct pi_error *err)
{
    const struct cli_qemu_options *options = call->values;
    const char *name = call->operands[0];
    pi_auto_agent struct cli_agent agent = {0};
    int r = cli_connect(&agent, err);
    if (r == 0 && options->standalone)
        r = tell_live(&agent, name, err);
    return r < 0
               ? r
               : cli_call(&agent, "GET", name,
                          options->standalone ? "qemu-command?standalone=1" : "qemu-command", NULL, ret, err);
}

int cli_print_words(const json_t *words, const char *(*before)(size_t i, const char *word),
                    struct pi_error *err)
{
    json_t *item;
    size_t i;
    json_array_foreach(words, i, item) {
        const char *word = json_string_value(item);
        pi_auto_free char *quoted = word ? pi_shell_quote(word) : NULL;
        if (!quoted)
            return pi_refuse(err, PI_AGENT, "the agent's answer has no argv of strings");
        printf("%s%s", before(i, word), quoted);
    }
    putchar('\n');
    return 0;
}

const struct cli_option cli_qemu_options[] = {
    {.name = "standalone",
     CLI_MEMBER(CLI_FLAG, cli_qemu_options, standalone),
     .help = "a command that runs by itself, with the serial console on the terminal"},
    {.name = "json", CLI_MEMBER(CLI_FLAG, cli_qemu_options, json), .help = "as JSON"},
    {0},
};
