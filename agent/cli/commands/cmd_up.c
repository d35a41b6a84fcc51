/* SPDX-License-Identifier: MIT */
/* "up" makes the host match the file of a fleet. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/cli/client/wait.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/commands/fleet_host_check.h"
#include "agent/cli/commands/fleet_launch.h"
#include "agent/cli/terminal/host_hint.h"
#include "agent/cli/terminal/table.h"

struct up_options {
    char *file;
    struct pi_strv recreate;
    struct cli_pace pace;
    uint64_t timeout_ms;
    bool dry_run, prune, json;
};

/* " on HOST", if the fleet is on several. */
static const char *on_host(const struct fleet *fleet, size_t host, char ret[320])
{
    ret[0] = '\0';
    if (fleet->host_count > 1)
        snprintf(ret, 320, " on %s", fleet_host_text(fleet, host));
    return ret;
}

/* Tells how it is with one instance, or with several of an entry that are alike. */
static void tell_change(const struct fleet *fleet, const struct fleet_change *first,
                        const struct fleet_change *last)
{
    char where[320];
    const char *what = first->remove && first->create ? "is made anew, without its data, and started"
                       : first->remove                ? "is powered off and removed"
                       : first->create                ? "is created and started"
                                                      : "is started";
    if (first == last)
        fprintf(stderr, "%s: %s%s\n", first->name, what, on_host(fleet, first->host, where));
    else
        fprintf(stderr, "%s to %s: each %s%s\n", first->name, last->name, what,
                on_host(fleet, first->host, where));
}

static bool are_alike(const struct fleet_change *a, const struct fleet_change *b)
{
    return a->entry == b->entry && a->entry && a->remove == b->remove && a->create == b->create &&
           a->start == b->start;
}

/* " -f FILE" for a command that is to act on the same file. */
static void file_option(const struct cli_fleet *fleet, char ret[PATH_MAX + 8])
{
    bool usual = !strcmp(fleet->path, CLI_FLEET_FILE);
    snprintf(ret, PATH_MAX + 8, "%s%s", usual ? "" : " -f ", usual ? "" : fleet->path);
}

/* Tells what is otherwise than the file says, of one instance or of several of an entry. */
static void tell_differences(const struct fleet_change *first, const struct fleet_change *last,
                             const char *file)
{
    char who[2 * sizeof first->name + 16];
    bool one = first == last, all = last - first + 1 == fleet_entry_size(first->entry);
    const char *again = one ? first->name : all ? first->entry->name : "NAME";
    snprintf(who, sizeof who, "%s%s%s", first->name, one ? "" : " to ", one ? "" : last->name);
    for (size_t i = 0; i < first->updates.count; i++)
        fprintf(stderr, "%s: %s: that is changed\n", who, first->updates.items[i]);
    for (size_t i = 0; i < first->differences.count; i++)
        cli_note("%s: %s: 'piagent up%s --recreate %s' makes %s anew, without %s data", who,
                 first->differences.items[i], file, again, one || !all ? "it" : "them",
                 one || !all ? "its" : "their");
}

static bool are_same_texts(const struct pi_strv *a, const struct pi_strv *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++)
        same = !strcmp(a->items[i], b->items[i]);
    return same;
}

static bool differ_alike(const struct fleet_change *a, const struct fleet_change *b)
{
    return a->entry == b->entry && are_same_texts(&a->differences, &b->differences) &&
           are_same_texts(&a->updates, &b->updates);
}

static void tell_all_differences(const struct cli_fleet *fleet, const struct fleet_plan *plan)
{
    char file[PATH_MAX + 8];
    file_option(fleet, file);
    for (size_t i = 0, last; i < plan->count; i = last + 1) {
        const struct fleet_change *change = &plan->changes[i];
        last = i;
        if (change->entry) {
            while (last + 1 < plan->count && differ_alike(change, &plan->changes[last + 1]))
                last++;
            tell_differences(change, &plan->changes[last], file);
        } else if (!change->remove) {
            cli_note("%s is in the fleet %s, and not in the file: 'piagent up%s --prune' removes it",
                     change->name, fleet->fleet.name, file);
        }
    }
}

static void tell_changes(const struct cli_fleet *loaded, const struct fleet_plan *plan)
{
    const struct fleet *fleet = &loaded->fleet;
    char where[320];
    for (size_t i = 0; i < plan->network_count; i++) {
        const struct fleet_new_network *network = &plan->networks[i];
        fprintf(stderr, "network %s: is created%s%s%s\n", network->network->name,
                on_host(fleet, network->host, where), network->subnet[0] ? ", " : "", network->subnet);
    }
    for (size_t i = 0; i < plan->link_count; i++)
        fprintf(stderr, "network %s: is linked: %s with %s\n", plan->links[i].network->name,
                fleet_host_text(fleet, plan->links[i].from), fleet_host_text(fleet, plan->links[i].to));
    for (size_t i = 0, last; i < plan->count; i = last + 1) {
        const struct fleet_change *change = &plan->changes[i];
        for (last = i; last + 1 < plan->count && are_alike(change, &plan->changes[last + 1]);)
            last++;
        if (change->remove || change->create || change->start)
            tell_change(fleet, change, &plan->changes[last]);
    }
    tell_all_differences(loaded, plan);
}

/* Takes the line over. */
static void print_plan_line(json_t *line)
{
    cli_json_line(stdout, line);
    json_decref(line);
}

static void print_plan(const struct fleet *fleet, const struct fleet_plan *plan)
{
    for (size_t i = 0; i < plan->network_count; i++) {
        const struct fleet_new_network *network = &plan->networks[i];
        print_plan_line(json_pack("{s:{s:s, s:s*, s:s*, s:b}}", "network", "name", network->network->name,
                                  "host", fleet->hosts[network->host], "subnet",
                                  network->subnet[0] ? network->subnet : NULL, "create", 1));
    }
    for (size_t i = 0; i < plan->link_count; i++) {
        const struct fleet_new_link *link = &plan->links[i];
        print_plan_line(json_pack("{s:{s:s, s:s*, s:s}}", "network", "name", link->network->name, "host",
                                  fleet->hosts[link->from], "link", fleet_host_text(fleet, link->to)));
    }
    for (size_t i = 0; i < plan->count; i++) {
        const struct fleet_change *change = &plan->changes[i];
        print_plan_line(json_pack("{s:{s:s, s:s*, s:b, s:b, s:b, s:b, s:o, s:o}}", "change", "name",
                                  change->name, "host", fleet->hosts[change->host], "in_file",
                                  change->entry != NULL, "remove", change->remove, "create", change->create,
                                  "start", change->start, "differences", pi_strv_json(&change->differences),
                                  "updates", pi_strv_json(&change->updates)));
    }
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

static size_t instances_that_differ(const struct fleet_plan *plan)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->count; i++)
        count += plan->changes[i].differences.count > 0;
    return count;
}

/* The last line: what there is now, and what is otherwise than the file says. */
static void tell_outcome(const char *name, const struct fleet_plan *plan, bool nothing)
{
    char differ[80] = "";
    size_t count = instances_of_file(plan), others = instances_that_differ(plan);
    if (others)
        snprintf(differ, sizeof differ, "; %zu differ%s from the file", others, others == 1 ? "s" : "");
    if (!nothing)
        fprintf(stderr, "%s: %zu instance%s ready%s\n", name, count, count == 1 ? " is" : "s are", differ);
    else
        fprintf(stderr, "%s: %s: %zu instance%s there%s\n", name,
                others ? "nothing is done" : "nothing is to be done", count, count == 1 ? " is" : "s are",
                differ);
}

static int carry_out(struct cli_fleet_hosts *hosts, const struct up_options *options,
                     const struct cli_fleet *fleet, const struct fleet_plan *plan, struct pi_error *err)
{
    const struct cli_launch launch = {
        .hosts = hosts,
        .fleet = fleet,
        .plan = plan,
        .pace = options->pace,
        .wait = {.caller_tells_rest = true, .json = options->json, .timeout_ms = options->timeout_ms}};
    const char *name = fleet->fleet.name;
    bool nothing = fleet_plan_is_empty(plan), done = nothing && is_done(plan);
    int code = options->dry_run ? PI_OK : cli_launch_fleet(&launch, err);
    if (code == PI_OK && (options->dry_run || done)) {
        if (!options->json && nothing)
            tell_outcome(name, plan, true);
        return PI_OK;
    }
    if (code > CLI_EXIT_SIGNAL && !options->json)
        cli_note("%s: interrupted; what was begun goes on, and piagent up does the rest", name);
    else if (code == PI_OK && !options->json)
        tell_outcome(name, plan, false);
    return code;
}

static int compare_and_go(struct cli_fleet_hosts *hosts, const struct cli_call *call, struct cli_fleet *fleet,
                          struct pi_error *err)
{
    const struct up_options *options = call->values;
    pi_auto_plan struct fleet_plan plan = {0};
    pi_auto_free struct fleet_have *have = cli_fleet_hosts_have(hosts, options->pace.overcommit);
    const struct fleet_ask ask = {.names = call->operands,
                                  .name_count = call->count,
                                  .recreate = &options->recreate,
                                  .prune = options->prune};
    int r =
        have ? fleet_plan_make(&fleet->fleet, fleet->requests, have, &ask, fleet->findings, &plan) : -ENOMEM;
    if (r < 0)
        return pi_fail(err, -r, "plan");
    if ((r = cli_fleet_check_hosts(hosts, fleet, &plan, err)) < 0 ||
        (r = cli_fleet_refuse(fleet, options->json, err)) < 0)
        return r;
    if (options->json)
        print_plan(&fleet->fleet, &plan);
    else
        tell_changes(fleet, &plan);
    return carry_out(hosts, options, fleet, &plan, err);
}

static int run_up(const struct cli_call *call, struct pi_error *err)
{
    const struct up_options *options = call->values;
    pi_auto_cli_fleet struct cli_fleet fleet = {0};
    pi_auto_fleet_hosts struct cli_fleet_hosts hosts = {0};
    int r = cli_fleet_refuse_files(call, err);
    if (r == 0)
        r = cli_fleet_load(options->file, &fleet, err);
    if (r < 0)
        return r;
    bool sound = !fleet.findings->errors, elsewhere = fleet.fleet.host_count > 1 || fleet.fleet.hosts[0];
    /* No agent is started for a file that is wrong: what runs is compared only if one is there. */
    if (!fleet.fleet.whole || (!sound && elsewhere))
        return cli_fleet_refuse(&fleet, options->json, err);
    r = cli_fleet_connect(&fleet.fleet, !sound, &hosts, err);
    if (r == 0)
        r = cli_fleet_hosts_look(&hosts, err);
    if (r < 0 && !sound)
        return cli_fleet_refuse(&fleet, options->json, err);
    return r < 0 ? r : compare_and_go(&hosts, call, &fleet, err);
}

static const struct cli_option up_table[] = {
    {.name = "file",
     .letter = 'f',
     CLI_MEMBER(CLI_STRING, up_options, file),
     .kind = CLI_FILE,
     .argument = "FILE",
     .help =
         "the fleet's file, or - for the standard input (default: " CLI_FLEET_FILE " in the current folder)"},
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
    CLI_PACE_OPTIONS(up_options, ""),
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
        "'after', and returns when all are ready. Labels and after are changed as\n"
        "the file says; an instance that differs in something else is left as it is. Each difference is told, and the\n"
        "exit code is 0 all the same. Interrupted and run again, it goes on. NAME is an entry or an instance of the\n"
        "file, and those that it is after are included. If one fails, the others go on, except those that are after\n"
        "it; the exit code is that of the first failure, as of piagent run -d.",
    .example = "piagent up -f fleet.yaml --dry-run",
    .options = up_table,
    .values_size = sizeof(struct up_options),
    .max_operands = 64,
    .operand = CLI_TEXT,
    .run = run_up,
};
