/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/cli/client/chosen.h"
#include "agent/cli/client/wait.h"
#include "agent/cli/commands/command_table.h"

struct wait_options {
    struct cli_selection which;
    char *goal;
    uint64_t timeout_ms;
    bool json;
};

static int check_wait_options(const struct cli_wait *how, const struct api_instance *instance,
                              struct pi_error *err)
{
    bool made = instance->spec.template && instance->state == VM_SAVED;
    if (how->stopped || made || !cli_state_is_over(instance->state) ||
        cli_instance_may_start(instance, pi_realtime_ms()))
        return 0;
    if (instance->spec.template)
        return pi_refuse(
            err, PI_CONFLICT,
            "the template %s was not finished: remove it with piagent template rm %s, and make it again",
            instance->name, instance->name);
    return pi_refuse(err, PI_CONFLICT, "%s is %s, and does not become ready by itself: piagent start -d %s",
                     instance->name, api_state_word(instance), instance->name);
}

static int run_wait(const struct cli_call *call, struct pi_error *err)
{
    const struct wait_options *options = call->values;
    struct cli_wait how = {.stopped = options->goal && !strcmp(options->goal, "stopped"),
                           .json = options->json,
                           .timeout_ms = options->timeout_ms};
    pi_auto_agent struct cli_agent agent = {0};
    pi_auto_chosen struct cli_chosen chosen = {0};
    int r = cli_connect(&agent, err);
    if (r == 0)
        r = cli_choose(&agent, call, &options->which, CLI_MACHINE, &chosen, err);
    for (size_t i = 0; r == 0 && i < chosen.count; i++)
        r = check_wait_options(&how, &chosen.items[i], err);
    if (r == 0 && !chosen.count && !options->json)
        fprintf(stderr, "%s\n", cli_none_of(CLI_MACHINE));
    return r < 0 ? r : cli_wait(&how, &agent, chosen.items, (unsigned)chosen.count, err);
}

static const char *const goals[] = {"ready", "stopped", NULL};

static const struct cli_option wait_table[] = {
    CLI_SELECTION_OPTIONS(wait_options, 0, "all of them, instead of NAME..."),
    {.name = "for",
     CLI_MEMBER(CLI_STRING, wait_options, goal),
     .argument = "STATE",
     .kind = CLI_WORD,
     .words = goals,
     .help = "ready (the default) or stopped"},
    {.name = "timeout",
     CLI_MEMBER(CLI_LIMIT, wait_options, timeout_ms),
     .argument = "TIME",
     .help = CLI_WAIT_LIMIT_HELP},
    {.name = "json",
     CLI_MEMBER(CLI_FLAG, wait_options, json),
     .help = "the events as JSON lines, from the boot's beginning"},
    {0},
};

const struct cli_command cli_command_wait = {
    .name = "wait",
    .operands = "NAME...",
    .summary = "waits until instances are ready, or stopped; a template: until it is saved",
    .details =
        "Shows the progress of each boot on a line. piagent keeps waiting while the guest still prints, fetches its\n"
        "seed or reports. If it does none of it for as long as --timeout says, the wait ends with exit code 9, and\n"
        "the instance runs on. A wait for the stop of an instance has no such limit unless you give one. The exit\n"
        "code is 8 if cloud-init failed, the kernel panicked, the boot got stuck or the instance stopped before it\n"
        "was ready; also if the guest of a first boot is up, and its cloud-init does not report. If cloud-init\n"
        "announces a reboot (power_state), the instance is ready after the boot that follows.",
    .example = "piagent wait pi-1 pi-2 --timeout 2m",
    .options = wait_table,
    .values_size = sizeof(struct wait_options),
    .min_operands = 1,
    .max_operands = CLI_WAIT_MAX,
    .operand = CLI_MACHINE,
    .run = run_wait,
};
