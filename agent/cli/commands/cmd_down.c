/* SPDX-License-Identifier: MIT */
/* "down" powers the instances of a fleet down. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/cli/client/instance_follow.h"
#include "agent/cli/client/task.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/commands/fleet_load.h"
#include "agent/cli/commands/verb.h"
#include "agent/fleet/down_order.h"

struct down_options {
    struct cli_stop_options stop;
    char *file, *fleet;
};

static bool is_operand(const struct cli_call *call, const struct api_instance *instance)
{
    for (unsigned i = 0; i < call->count; i++)
        if (!strcmp(call->operands[i], instance->name) ||
            !strcmp(call->operands[i], instance->spec.fleet.role))
            return true;
    return !call->count;
}

/* Each name has to be an instance's or an entry's, before anything is stopped. */
static int check_names(const struct cli_call *call, const char *fleet, const struct cli_chosen *all,
                       struct pi_error *err)
{
    for (unsigned i = 0; i < call->count; i++) {
        size_t k = 0;
        while (k < all->count && strcmp(call->operands[i], all->items[k].name) != 0 &&
               strcmp(call->operands[i], all->items[k].spec.fleet.role) != 0)
            k++;
        if (k == all->count)
            return pi_refuse(err, PI_NOT_FOUND,
                             "the fleet %s has no entry and no instance '%.64s': piagent ps -a", fleet,
                             call->operands[i]);
    }
    return 0;
}

/* Those of one rank side by side; count is 0 if none of it runs. */
static int stop_rank(struct cli_task *task, const struct cli_call *call, struct cli_chosen *all,
                     const size_t *ranks, size_t rank, size_t *stopped)
{
    task->chosen.items = calloc(all->count + 1, sizeof *task->chosen.items);
    if (!task->chosen.items)
        return -ENOMEM;
    for (size_t i = 0; i < all->count; i++) {
        struct api_instance *instance = &all->items[i];
        if (ranks[i] != rank || cli_state_is_over(instance->state) || !is_operand(call, instance))
            continue;
        task->chosen.items[task->chosen.count++] = *instance;
        *instance = (struct api_instance){.state = VM_STOPPED};
    }
    *stopped += task->chosen.count;
    int code = cli_task_stop(task);
    cli_chosen_done(&task->chosen);
    return code;
}

static int stop_in_order(struct cli_task *task, const struct cli_call *call, const char *fleet,
                         struct cli_chosen *all, struct pi_error *err)
{
    pi_auto_free size_t *ranks = calloc(all->count + 1, sizeof *ranks);
    size_t stopped = 0;
    int code = PI_OK;
    if (!ranks)
        return pi_fail(err, ENOMEM, "down");
    fleet_down_ranks(all->items, all->count, ranks);
    for (size_t rank = all->count; rank-- > 0;) {
        int r = stop_rank(task, call, all, ranks, rank, &stopped);
        if (r < 0)
            return pi_fail(err, -r, "down");
        if (r > CLI_EXIT_SIGNAL)
            return r;
        code = code ? code : r;
    }
    if (!stopped && !task->events)
        fprintf(stderr, "%s: nothing runs\n", fleet);
    return code == PI_OK && task->forced ? PI_TIMEOUT : code;
}

/* The name of the fleet: as given, or of the file. */
static int find_fleet(const struct down_options *options, struct cli_fleet *file, const char **ret,
                      struct pi_error *err)
{
    *ret = options->fleet;
    if (options->fleet && options->file)
        return pi_refuse(err, PI_USAGE, "--fleet and --file exclude each other");
    if (options->fleet)
        return 0;
    int r = cli_fleet_read(options->file, file, err);
    if (r == 0)
        r = cli_fleet_refuse(file, options->stop.json, err);
    *ret = file->fleet.name;
    return r;
}

static int run_down(const struct cli_call *call, struct pi_error *err)
{
    const struct down_options *options = call->values;
    struct api_stop stop = {.timeout_ms = options->stop.timeout_ms, .step_ms = options->stop.step_ms};
    json_auto_t *body = api_write(stop, &stop);
    pi_auto_cli_fleet struct cli_fleet file = {0};
    pi_auto_task struct cli_task task = {.request = "powerdown", .body = body, .events = options->stop.json};
    pi_auto_chosen struct cli_chosen all = {0};
    const char *fleet = NULL;
    int r = body ? find_fleet(options, &file, &fleet, err) : pi_fail(err, ENOMEM, "down");
    if (r == 0)
        r = cli_connect(&task.agent, err);
    const struct cli_selection selection = {.fleet = (char *)fleet};
    if (r == 0)
        r = cli_choose(&task.agent, NULL, &selection, CLI_MACHINE, &all, err);
    if (r == 0)
        r = check_names(call, fleet, &all, err);
    return r < 0 ? r : stop_in_order(&task, call, fleet, &all, err);
}

static const struct cli_option down_table[] = {
    {.name = "file",
     .letter = 'f',
     CLI_MEMBER(CLI_STRING, down_options, file),
     .kind = CLI_FILE,
     .argument = "FILE",
     .help = "the fleet's file, for its name (default: " CLI_FLEET_FILE " in the current folder)"},
    {.name = "fleet",
     CLI_MEMBER(CLI_STRING, down_options, fleet),
     .kind = CLI_FLEET,
     .argument = "NAME",
     .help = "the fleet by its name, without its file"},
    {.name = "timeout",
     CLI_MEMBER(CLI_DURATION, down_options, stop.timeout_ms),
     .argument = "TIME",
     .help = "how long each guest may take (default: 90s)"},
    {.name = "step-timeout",
     CLI_MEMBER(CLI_DURATION, down_options, stop.step_ms),
     .argument = "TIME",
     .help = "how long QEMU may take to quit, and on SIGTERM (default: 10s)"},
    {.name = "json", CLI_MEMBER(CLI_FLAG, down_options, stop.json), .help = "the events as JSON lines"},
    {0},
};

const struct cli_command cli_command_down = {
    .name = "down",
    .operands = "[NAME...]",
    .summary = "powers the instances of a fleet down, in order",
    .details =
        "Those that started after others stop first, and the others when these have stopped; those that do not depend\n"
        "on each other stop side by side. NAME is an entry or an instance. Nothing is removed: piagent up starts them\n"
        "again, with their data. The exit code is 9 if a guest did not power itself off, as of piagent powerdown.",
    .example = "piagent down --fleet web",
    .options = down_table,
    .values_size = sizeof(struct down_options),
    .max_operands = 64,
    .operand = CLI_MACHINE_LIVE,
    .run = run_down,
};
