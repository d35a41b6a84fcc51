/* SPDX-License-Identifier: MIT */
/* "up" makes the host match the file of a fleet. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "agent/base/auto.h"
#include "agent/cli/client/task.h"
#include "agent/cli/client/wait.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/commands/fleet_launch.h"
#include "agent/cli/terminal/host_hint.h"

#define PARALLEL_MAX 500

struct up_options {
    char *file;
    struct pi_strv recreate;
    uint64_t parallel, timeout_ms;
    bool dry_run, prune, overcommit, json;
};

/* What the agent has. */
struct up_have {
    struct cli_chosen instances;
    struct fleet_network *networks;
    size_t network_count;
};

static void have_done(struct up_have *have)
{
    cli_chosen_done(&have->instances);
    free(have->networks);
}

/* 0: not known, as that of another host. */
static uint64_t host_memory_mib(const struct cli_agent *agent)
{
    struct sysinfo host;
    return agent->host.url || sysinfo(&host) < 0 ? 0 : ((uint64_t)host.totalram * host.mem_unit) >> 20;
}

/* The list has not all that is compared: each instance of the fleet is asked for. */
static int get_instances(struct cli_agent *agent, const char *fleet, struct cli_chosen *ret,
                         struct pi_error *err)
{
    const struct cli_selection all = {.all = true};
    int r = cli_choose(agent, NULL, &all, CLI_MACHINE, ret, err);
    for (size_t i = 0; r == 0 && i < ret->count; i++) {
        pi_auto_instance struct api_instance whole = {0};
        struct api_instance *listed = &ret->items[i];
        if (strcmp(listed->spec.fleet.name, fleet) != 0)
            continue;
        if ((r = cli_get_instance(agent, listed->name, &whole, err)) < 0)
            return r;
        struct api_instance other = *listed;
        *listed = whole;
        whole = other;
    }
    return r;
}

static int get_networks(struct cli_agent *agent, struct up_have *ret, struct pi_error *err)
{
    json_auto_t *reply = NULL;
    json_t *object;
    size_t i;
    int r = cli_call_networks(agent, "GET", NULL, NULL, &reply, err);
    const json_t *list = json_object_get(reply, "networks");
    if (r < 0)
        return r;
    ret->networks = calloc(json_array_size(list) + 1, sizeof *ret->networks);
    if (!ret->networks)
        return pi_fail(err, ENOMEM, "networks");
    json_array_foreach(list, i, object) {
        struct fleet_network *network = &ret->networks[ret->network_count];
        const char *name = json_string_value(json_object_get(object, "name"));
        const char *subnet = json_string_value(json_object_get(object, "subnet"));
        if (!name || !subnet || vm_subnet_parse(subnet, &network->subnet, NULL) < 0)
            continue;
        snprintf(network->name, sizeof network->name, "%s", name);
        ret->network_count++;
    }
    return 0;
}

/* Tells how it is with one instance, or with several of an entry that are alike. */
static void tell_change(const struct fleet_change *first, const struct fleet_change *last)
{
    const char *what = first->remove && first->create ? "is made anew, without its data, and started"
                       : first->remove                ? "is powered off and removed"
                       : first->create                ? "is created and started"
                                                      : "is started";
    if (first == last)
        fprintf(stderr, "%s: %s\n", first->name, what);
    else
        fprintf(stderr, "%s to %s: each %s\n", first->name, last->name, what);
}

static bool are_alike(const struct fleet_change *a, const struct fleet_change *b)
{
    return a->entry == b->entry && a->entry && a->remove == b->remove && a->create == b->create &&
           a->start == b->start;
}

static void tell_left(const struct fleet_change *change)
{
    if (!change->entry && !change->remove)
        cli_note("%s is not in the file any more: 'piagent up --prune' removes it", change->name);
    for (size_t i = 0; i < change->differences.count; i++)
        cli_note("%s: %s: 'piagent up --recreate %s' makes it anew, without its data", change->name,
                 change->differences.items[i], change->name);
}

static void tell_changes(const struct fleet_plan *plan)
{
    for (size_t i = 0; i < plan->network_count; i++)
        fprintf(stderr, "network %s: is created%s%s\n", plan->networks[i]->name,
                plan->networks[i]->text ? ", " : "", plan->networks[i]->text ? plan->networks[i]->text : "");
    for (size_t i = 0, last; i < plan->count; i = last + 1) {
        const struct fleet_change *change = &plan->changes[i];
        for (last = i; last + 1 < plan->count && are_alike(change, &plan->changes[last + 1]);)
            last++;
        if (change->remove || change->create || change->start)
            tell_change(change, &plan->changes[last]);
    }
    for (size_t i = 0; i < plan->count; i++)
        tell_left(&plan->changes[i]);
}

static void print_line(json_t *line)
{
    pi_auto_free char *text = line ? json_dumps(line, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    if (text)
        puts(text);
    json_decref(line);
}

static json_t *texts_json(const struct pi_strv *texts)
{
    json_t *list = json_array();
    for (size_t i = 0; i < texts->count; i++)
        json_array_append_new(list, json_string(texts->items[i]));
    return list;
}

static void print_plan(const struct fleet_plan *plan)
{
    for (size_t i = 0; i < plan->network_count; i++)
        print_line(json_pack("{s:{s:s, s:s*, s:b}}", "network", "name", plan->networks[i]->name, "subnet",
                             plan->networks[i]->text, "create", 1));
    for (size_t i = 0; i < plan->count; i++) {
        const struct fleet_change *change = &plan->changes[i];
        print_line(json_pack("{s:{s:s, s:b, s:b, s:b, s:b, s:o}}", "change", "name", change->name, "in_file",
                             change->entry != NULL, "remove", change->remove, "create", change->create,
                             "start", change->start, "differences", texts_json(&change->differences)));
    }
    fflush(stdout);
}

/* True if all instances of the file that are asked for have booted, and nothing is to be done. */
static bool is_done(const struct fleet_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        if (plan->changes[i].entry && plan->changes[i].now->state != VM_READY)
            return false;
    return true;
}

static size_t instances_of_file(const struct fleet_plan *plan)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->count; i++)
        count += plan->changes[i].entry != NULL;
    return count;
}

static int carry_out(struct cli_task *task, const struct up_options *options, const struct cli_fleet *fleet,
                     const struct fleet_plan *plan, struct pi_error *err)
{
    const struct cli_launch launch = {.task = task,
                                      .fleet = fleet,
                                      .plan = plan,
                                      .parallel = options->parallel,
                                      .timeout_ms = options->timeout_ms,
                                      .overcommit = options->overcommit,
                                      .json = options->json};
    const char *name = fleet->fleet.name;
    size_t count = instances_of_file(plan);
    bool nothing = fleet_plan_is_empty(plan);
    if (options->dry_run || (nothing && is_done(plan))) {
        if (!options->json && nothing)
            fprintf(stderr, "%s: nothing is to be done: %zu instance%s there\n", name, count,
                    count == 1 ? " is" : "s are");
        return PI_OK;
    }
    int code = cli_launch_fleet(&launch, err);
    if (code > CLI_EXIT_SIGNAL && !options->json)
        cli_note("%s: interrupted; what was begun goes on, and piagent up does the rest", name);
    else if (code == PI_OK && !options->json)
        fprintf(stderr, "%s: %zu instance%s ready\n", name, count, count == 1 ? " is" : "s are");
    return code;
}

static int compare_and_go(struct cli_task *task, const struct cli_call *call, struct cli_fleet *fleet,
                          struct up_have *have, struct pi_error *err)
{
    const struct up_options *options = call->values;
    pi_auto_plan struct fleet_plan plan = {0};
    const struct fleet_ask ask = {.names = call->operands,
                                  .name_count = call->count,
                                  .recreate = &options->recreate,
                                  .prune = options->prune,
                                  .host_mib = options->overcommit ? 0 : host_memory_mib(&task->agent)};
    const struct fleet_have there = {have->instances.items, have->instances.count, have->networks,
                                     have->network_count};
    int r = fleet_plan_make(&fleet->fleet, fleet->requests, &there, &ask, fleet->findings, &plan);
    if (r < 0)
        return pi_fail(err, -r, "plan");
    if ((r = cli_fleet_refuse(fleet, options->json, err)) < 0)
        return r;
    if (options->json)
        print_plan(&plan);
    else
        tell_changes(&plan);
    return carry_out(task, options, fleet, &plan, err);
}

static int run_up(const struct cli_call *call, struct pi_error *err)
{
    const struct up_options *options = call->values;
    pi_auto_cli_fleet struct cli_fleet fleet = {0};
    pi_auto_task struct cli_task task = {.events = options->json};
    pi_auto(have_done) struct up_have have = {0};
    int r = cli_fleet_load(options->file, &fleet, err);
    if (r < 0)
        return r;
    bool sound = !fleet.findings->errors;
    /* No agent is started for a file that is wrong: what runs is compared only if one is there. */
    r = sound ? cli_connect(&task.agent, err) : cli_connect_running(&task.agent, err);
    if (r == 0)
        r = get_instances(&task.agent, fleet.fleet.name, &have.instances, err);
    if (r == 0 && fleet.fleet.network_count)
        r = get_networks(&task.agent, &have, err);
    if (r < 0 && !sound)
        return cli_fleet_refuse(&fleet, options->json, err);
    return r < 0 ? r : compare_and_go(&task, call, &fleet, &have, err);
}

static const struct cli_option up_table[] = {
    {.name = "file",
     .letter = 'f',
     CLI_MEMBER(CLI_STRING, up_options, file),
     .kind = CLI_FILE,
     .argument = "FILE",
     .help = "the fleet's file (default: " CLI_FLEET_FILE " in the current folder)"},
    {.name = "dry-run",
     CLI_MEMBER(CLI_FLAG, up_options, dry_run),
     .help = "show what would be done, and do nothing"},
    {.name = "prune",
     CLI_MEMBER(CLI_FLAG, up_options, prune),
     .help = "also remove the instances of this fleet that the file does not have any more, with their data"},
    {.name = "recreate",
     CLI_MEMBER(CLI_LIST, up_options, recreate),
     .kind = CLI_MACHINE,
     .argument = "NAME",
     .help = "make this instance, or those of this entry, anew: their data is lost"},
    {.name = "parallel",
     CLI_MEMBER(CLI_NUMBER, up_options, parallel),
     .argument = "N",
     .min = 1,
     .max = PARALLEL_MAX,
     .help =
         "how many boot at a time (default: one for each processor if they are emulated, four under KVM)"},
    {.name = "overcommit",
     CLI_MEMBER(CLI_FLAG, up_options, overcommit),
     .help = "even if the instances may take more memory than this host has"},
    {.name = "timeout",
     CLI_MEMBER(CLI_LIMIT, up_options, timeout_ms),
     .argument = "TIME",
     .help = CLI_WAIT_LIMIT_HELP},
    {.name = "json",
     CLI_MEMBER(CLI_FLAG, up_options, json),
     .help = "the changes and the events as JSON lines"},
    {0},
};

const struct cli_command cli_command_up = {
    .name = "up",
    .operands = "[NAME...]",
    .summary = "makes the host match the file of a fleet",
    .details =
        "The file names networks and instances: piagent help fleet explains it. All of it is checked before anything\n"
        "happens; then up shows what it does: it creates what is missing, starts what does not run, in the order of\n"
        "'after', and returns when all are ready. An instance that is otherwise than the file says is left as it is,\n"
        "and the difference is told. Interrupted and run again, it goes on. NAME is an entry or an instance of the\n"
        "file, and those that it is after are included. If one fails, the others go on, except those that are after\n"
        "it; the exit code is that of the first failure, as of piagent run -d.",
    .example = "piagent up -f fleet.yaml --dry-run",
    .options = up_table,
    .values_size = sizeof(struct up_options),
    .max_operands = 64,
    .operand = CLI_TEXT,
    .run = run_up,
};
