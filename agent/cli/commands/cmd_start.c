/* SPDX-License-Identifier: MIT */
/* "start" starts instances that are there, and follows them. */
#include <stdio.h>

#include "agent/base/auto.h"
#include "agent/cli/client/foreground.h"
#include "agent/cli/client/start.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/commands/launch_chosen.h"
#include "agent/cli/terminal/host_hint.h"

struct start_options {
    struct cli_selection which;
    struct cli_pace pace;
    bool detach, json, cold;
    uint64_t timeout_ms;
};

/* Starts the one instance that this terminal or unit is for. An instance that somebody else has started runs
 * on without this command. */
static int start_attached(struct cli_agent *agent, struct api_instance *instance, bool cold,
                          struct pi_error *err)
{
    int r = cli_start_one(agent, instance, cold, err);
    if (r < 0 || !instance->already)
        return r < 0 ? r : cli_foreground(agent, instance, false, err);
    cli_note("%s is %s already: piagent console %s attaches to its console", instance->name,
             api_state_word(instance), instance->name);
    return PI_OK;
}

/* There is one terminal, and a console for one instance. */
static bool is_detached(const struct cli_call *call)
{
    const struct start_options *options = call->values;
    return options->detach || call->count != 1;
}

static int start_chosen(struct cli_agent *agent, const struct cli_call *call, struct cli_chosen *chosen,
                        struct pi_error *err)
{
    const struct start_options *options = call->values;
    const struct cli_wait how = {.login = true, .json = options->json, .timeout_ms = options->timeout_ms};
    if (!chosen->count && !options->json)
        fprintf(stderr, "%s\n", cli_none_of(CLI_MACHINE_OVER));
    return is_detached(call)
               ? cli_launch_chosen(agent, chosen, &how, &options->pace, options->cold, "piagent start", err)
               : start_attached(agent, &chosen->items[0], options->cold, err);
}

static int run_start(const struct cli_call *call, struct pi_error *err)
{
    const struct start_options *options = call->values;
    pi_auto_agent struct cli_agent agent = {0};
    pi_auto_chosen struct cli_chosen chosen = {0};
    int r = cli_refuse_attached(is_detached(call), options->json, options->timeout_ms, err);
    if (r == 0)
        r = cli_connect(&agent, err);
    if (r == 0)
        r = cli_choose(&agent, call, &options->which, CLI_MACHINE_OVER, &chosen, err);
    return r < 0 ? r : start_chosen(&agent, call, &chosen, err);
}

static const struct cli_option start_table[] = {
    CLI_SELECTION_OPTIONS(start_options, 0, "all that do not run, instead of NAME..."),
    {.name = "detach",
     .letter = 'd',
     CLI_MEMBER(CLI_FLAG, start_options, detach),
     .help = "return when the guest is ready; so it is always if several are started"},
    CLI_PACE_OPTIONS(start_options, "with several: "),
    {.name = "timeout",
     CLI_MEMBER(CLI_LIMIT, start_options, timeout_ms),
     .argument = "TIME",
     .help = "with -d: " CLI_WAIT_LIMIT_HELP},
    {.name = "cold",
     CLI_MEMBER(CLI_FLAG, start_options, cold),
     .help = "drop the saved state of an instance, and boot its disk: for the guest as after a power cut"},
    {.name = "json", CLI_MEMBER(CLI_FLAG, start_options, json), .help = "with -d: the events as JSON lines"},
    {0},
};

const struct cli_command cli_command_start = {
    .name = "start",
    .operands = "NAME...",
    .summary = "boots an instance that is stopped, or lets a saved one go on",
    .details = CLI_FOREGROUND_HELP,
    .example = "piagent start -d pi-1",
    .options = start_table,
    .values_size = sizeof(struct start_options),
    .min_operands = 1,
    .max_operands = CLI_WAIT_MAX,
    .operand = CLI_MACHINE_OVER,
    .run = run_start,
};
