/* SPDX-License-Identifier: MIT */
#include "agent/cli/commands/run_fleet.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/cli/commands/fleet_launch.h"
#include "agent/cli/terminal/host_hint.h"

/* A fleet is made anew, as a whole. */
static int refuse_member(const struct cli_chosen *there, const struct fleet_entry *entry,
                         struct pi_error *err)
{
    char name[PI_NAME_MAX + 1];
    for (size_t i = 0; i < there->count; i++) {
        const struct api_instance *one = &there->items[i];
        bool clashes = !strcmp(one->spec.fleet.name, entry->name);
        for (unsigned k = 1; !clashes && k <= entry->count; k++) {
            fleet_instance_name(entry, k, name);
            clashes = !strcmp(one->name, name);
        }
        if (clashes && !strcmp(one->spec.fleet.name, entry->name))
            return pi_refuse(
                err, PI_CONFLICT,
                "the fleet %s is there already, with %s: choose another name, or remove it first with: "
                "piagent rm --fleet %s",
                entry->name, one->name, entry->name);
        if (clashes)
            return pi_refuse(
                err, PI_CONFLICT,
                "%s is there already: choose another name for the fleet, or remove it first with: piagent rm %s",
                one->name, one->name);
    }
    return 0;
}

/* The name of the last one is the longest. */
static int check_last_name(const struct fleet_entry *entry, struct pi_error *err)
{
    char last[PI_NAME_MAX + 16];
    snprintf(last, sizeof last, "%s-%u", entry->name, entry->count);
    return pi_name_check(last, err);
}

/* The names are free, and the entry has no forwards and networks: the plan can only find that the host lacks memory. */
static int make_plan(const struct cli_fleet *fleet, const struct cli_fleet_hosts *hosts, bool overcommit,
                     struct fleet_plan *ret, struct pi_error *err)
{
    const struct pi_strv none = {0};
    const struct fleet_ask ask = {.recreate = &none};
    pi_auto_free struct fleet_have *have = cli_fleet_hosts_have(hosts, overcommit);
    if (!have || fleet_plan_make(&fleet->fleet, fleet->requests, have, &ask, fleet->findings, ret) < 0)
        return pi_fail(err, ENOMEM, "%s", fleet->fleet.name);
    if (fleet->findings->errors)
        return pi_refuse(err, PI_HOST, "%s: %s: %s", fleet->fleet.name, fleet->findings->items[0].message,
                         fleet->findings->items[0].remedy);
    return 0;
}

static int plan_and_launch(const struct cli_create *options, const struct cli_fleet *fleet,
                           struct cli_fleet_hosts *hosts, struct pi_error *err)
{
    pi_auto_plan struct fleet_plan plan = {0};
    const struct cli_launch launch = {
        .hosts = hosts,
        .fleet = fleet,
        .plan = &plan,
        .pace = options->pace,
        .wait = {.fresh = true, .login = true, .json = options->json, .timeout_ms = options->timeout_ms},
        .no_start = options->no_start};
    int r = cli_fleet_connect(&fleet->fleet, false, hosts, err);
    if (r == 0)
        r = cli_fleet_hosts_look(hosts, err);
    if (r == 0)
        r = refuse_member(&hosts->items[0].chosen, fleet->fleet.entries, err);
    if (r == 0)
        r = make_plan(fleet, hosts, options->pace.overcommit || options->no_start, &plan, err);
    return r < 0 ? r : cli_launch_fleet(&launch, err);
}

int cli_run_fleet(const struct cli_create *options, const char *name, json_t *request, struct pi_error *err)
{
    static const struct fleet_option memory_option = {"memory", FLEET_VALUE_ONE};
    char memory[32];
    struct fleet_word word = {.option = &memory_option, .value = memory};
    struct fleet_entry entry = {.count = (unsigned)options->count, .words = &word};
    pi_auto_free struct seed_findings *findings = calloc(1, sizeof *findings);
    struct cli_fleet fleet = {
        .fleet = {.entries = &entry, .entry_count = 1, .host_count = 1, .here = cli_host_chosen()},
        .requests = &request,
        .findings = findings};
    pi_auto_fleet_hosts struct cli_fleet_hosts hosts = {0};
    if (!findings)
        return pi_fail(err, ENOMEM, "run");
    entry.word_count = options->spec.memory_mib != 0;
    snprintf(memory, sizeof memory, "%" PRIu64 "M", options->spec.memory_mib);
    snprintf(entry.name, sizeof entry.name, "%s", name);
    snprintf(fleet.fleet.name, sizeof fleet.fleet.name, "%s", name);
    int r = check_last_name(&entry, err);
    return r < 0 ? r : plan_and_launch(options, &fleet, &hosts, err);
}
