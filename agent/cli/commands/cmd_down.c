/* SPDX-License-Identifier: MIT */
/* "down" powers the instances of a fleet down. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/cli/client/instance_follow.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/commands/fleet_hosts.h"
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

/* All instances of the fleet. */
struct down_instances {
    struct cli_chosen all;
    size_t *hosts, *ranks; /* of each */
};

static void instances_done(struct down_instances *instances)
{
    cli_chosen_done(&instances->all);
    free(instances->hosts);
    free(instances->ranks);
}

/* A host may have none of it, but not all hosts. */
static int choose_of_hosts(struct cli_fleet_hosts *hosts, const char *fleet, struct down_instances *ret,
                           struct pi_error *err)
{
    const struct cli_selection selection = {.fleet = (char *)fleet};
    size_t count = 0;
    int r = 0;
    for (size_t i = 0; i < hosts->count; i++) {
        struct cli_fleet_host *host = &hosts->items[i];
        r = cli_choose(&host->task.agent, NULL, &selection, CLI_MACHINE, &host->chosen, err);
        if (r < 0 && err->kind != PI_NOT_FOUND)
            return r;
        if (r < 0)
            cli_chosen_done(&host->chosen);
        count += host->chosen.count;
    }
    if (!count)
        return r;
    ret->all.items = calloc(count, sizeof *ret->all.items);
    ret->hosts = calloc(count, sizeof *ret->hosts);
    ret->ranks = calloc(count, sizeof *ret->ranks);
    if (!ret->all.items || !ret->hosts || !ret->ranks)
        return pi_fail(err, ENOMEM, "down");
    for (size_t i = 0; i < hosts->count; i++) {
        struct cli_chosen *chosen = &hosts->items[i].chosen;
        for (size_t k = 0; k < chosen->count; k++) {
            ret->hosts[ret->all.count] = i;
            ret->all.items[ret->all.count++] = chosen->items[k];
        }
        chosen->count = 0;
    }
    return 0;
}

/* Those of one rank side by side, on all hosts. */
static int stop_rank(struct cli_fleet_hosts *hosts, const struct cli_call *call,
                     struct down_instances *instances, size_t rank, size_t *stopped)
{
    struct cli_chosen *all = &instances->all;
    int asked = PI_OK, code = PI_OK;
    for (size_t i = 0; i < hosts->count; i++) {
        struct cli_task *task = &hosts->items[i].task;
        task->chosen.items = calloc(all->count + 1, sizeof *task->chosen.items);
        if (!task->chosen.items)
            return -ENOMEM;
        for (size_t k = 0; k < all->count; k++) {
            struct api_instance *instance = &all->items[k];
            if (instances->hosts[k] != i || instances->ranks[k] != rank ||
                cli_state_is_over(instance->state) || !is_operand(call, instance))
                continue;
            task->chosen.items[task->chosen.count++] = *instance;
            *instance = (struct api_instance){.state = VM_STOPPED};
        }
        *stopped += task->chosen.count;
        int r = cli_task_each(task, cli_task_request);
        asked = asked ? asked : r;
    }
    for (size_t i = 0; i < hosts->count && code <= CLI_EXIT_SIGNAL; i++) {
        int r = cli_task_each(&hosts->items[i].task, cli_task_await_stop);
        code = code && r <= CLI_EXIT_SIGNAL ? code : r;
    }
    for (size_t i = 0; i < hosts->count; i++)
        cli_chosen_done(&hosts->items[i].task.chosen);
    return code > CLI_EXIT_SIGNAL || !asked ? code : asked;
}

static int stop_in_order(struct cli_fleet_hosts *hosts, const struct cli_call *call, const char *fleet,
                         struct down_instances *instances, struct pi_error *err)
{
    struct cli_chosen *all = &instances->all;
    bool forced = false;
    size_t stopped = 0, ranks = 0;
    int code = PI_OK;
    if (fleet_down_ranks(all->items, all->count, instances->ranks) < 0)
        return pi_fail(err, ENOMEM, "down");
    for (size_t i = 0; i < all->count; i++)
        ranks = instances->ranks[i] < ranks ? ranks : instances->ranks[i] + 1;
    for (size_t rank = ranks; rank-- > 0;) {
        int r = stop_rank(hosts, call, instances, rank, &stopped);
        if (r < 0)
            return pi_fail(err, -r, "down");
        if (r > CLI_EXIT_SIGNAL)
            return r;
        code = code ? code : r;
    }
    for (size_t i = 0; i < hosts->count; i++)
        forced = forced || hosts->items[i].task.forced;
    if (!stopped && !hosts->items[0].task.events)
        fprintf(stderr, "%s: nothing runs\n", fleet);
    return code == PI_OK && forced ? PI_TIMEOUT : code;
}

/* The fleet's name and hosts, of the file. Without it, the fleet is on the host that the command acts on. */
static int find_fleet(const struct cli_call *call, struct cli_fleet *file, struct pi_error *err)
{
    const struct down_options *options = call->values;
    int r = cli_fleet_refuse_files(call, err);
    if (r < 0)
        return r;
    if (options->fleet && options->file)
        return pi_refuse(err, PI_USAGE, "--fleet and --file exclude each other");
    if (options->fleet) {
        snprintf(file->fleet.name, sizeof file->fleet.name, "%s", options->fleet);
        file->fleet.host_count = 1;
        return 0;
    }
    r = cli_fleet_read(options->file, file, err);
    return r < 0 ? r : cli_fleet_refuse(file, options->stop.json, err);
}

static int run_down(const struct cli_call *call, struct pi_error *err)
{
    const struct down_options *options = call->values;
    struct api_stop stop = {.timeout_ms = options->stop.timeout_ms, .step_ms = options->stop.step_ms};
    json_auto_t *body = api_write(stop, &stop);
    pi_auto_cli_fleet struct cli_fleet file = {0};
    pi_auto_fleet_hosts struct cli_fleet_hosts hosts = {0};
    pi_auto(instances_done) struct down_instances instances = {0};
    const char *fleet = file.fleet.name;
    int r = body ? find_fleet(call, &file, err) : pi_fail(err, ENOMEM, "down");
    if (r == 0)
        r = cli_fleet_connect(&file.fleet, false, &hosts, err);
    for (size_t i = 0; i < hosts.count; i++) {
        struct cli_task *task = &hosts.items[i].task;
        task->request = "powerdown";
        task->body = body;
        task->events = options->stop.json;
    }
    if (r == 0)
        r = choose_of_hosts(&hosts, fleet, &instances, err);
    if (r == 0)
        r = check_names(call, fleet, &instances.all, err);
    return r < 0 ? r : stop_in_order(&hosts, call, fleet, &instances, err);
}

static const struct cli_option down_table[] = {
    {.name = "file",
     .letter = 'f',
     CLI_MEMBER(CLI_STRING, down_options, file),
     .kind = CLI_FILE,
     .argument = "FILE",
     .help = "the fleet's file, or -, for its name and hosts (default: " CLI_FLEET_FILE
             " in the current folder)"},
    {.name = "fleet",
     CLI_MEMBER(CLI_STRING, down_options, fleet),
     .kind = CLI_FLEET,
     .argument = "NAME",
     .help = "the fleet by its name, without its file: what this host has of it"},
    {.name = "timeout",
     CLI_MEMBER(CLI_DURATION, down_options, stop.timeout_ms),
     .argument = "TIME",
     .help = "how long each guest may go on without a sign of life (default: 90s); in all it has 10 minutes"},
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
