/* SPDX-License-Identifier: MIT */
#include "agent/cli/commands/fleet_launch.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/cli/client/undo.h"
#include "agent/cli/commands/fleet_join.h"
#include "agent/cli/terminal/error_report.h"
#include "agent/cli/terminal/host_hint.h"
#include "agent/fleet/fleet_check.h"

/* Both passes take these from the plan, one for each instance of the file. */
struct launch_list {
    const struct cli_launch *launch;
    struct cli_launch_host *hosts;
    struct cli_launch_item *items;
    const struct fleet_change **changes;
    struct vm_fleet *places;
    size_t count;
};

static void list_done(struct launch_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        pi_strv_done(&list->places[i].after);
        json_decref((json_t *)list->items[i].body);
    }
    for (size_t i = 0; list->hosts && i < list->launch->hosts->count; i++)
        cli_launch_host_done(&list->hosts[i]);
    free(list->hosts);
    free(list->items);
    free(list->changes);
    free(list->places);
}

static int fill_place(const struct fleet *fleet, const struct fleet_change *change, struct vm_fleet *ret)
{
    const struct fleet_entry *entry = change->entry;
    int r = 0;
    ret->index = change->index;
    ret->count = fleet_entry_size(entry);
    snprintf(ret->name, sizeof ret->name, "%s", fleet->name);
    snprintf(ret->role, sizeof ret->role, "%s", entry->name);
    for (size_t i = 0; r == 0 && i < entry->after_count; i++)
        r = pi_strv_addf(&ret->after, "%s=%s", entry->after[i].entry,
                         entry->after[i].ready ? "ready" : "started");
    return r;
}

static json_t *creation_of(const json_t *request, const struct fleet_change *change,
                           const struct vm_fleet *place)
{
    json_auto_t *body = json_copy((json_t *)request);
    json_object_del(body, "user_data_sha256");
    if (json_object_set_new(body, "name", json_string(change->name)) < 0 ||
        json_object_set_new(body, "stopped", json_true()) < 0 ||
        json_object_set_new(body, "fleet", pi_fields_write(vm_fleet_fields, place)) < 0 ||
        (change->networks.count &&
         json_object_set_new(body, "networks", pi_strv_json(&change->networks)) < 0))
        return NULL;
    return json_incref(body);
}

static bool was_made_before(const struct fleet_change *change)
{
    return !change->create && !(change->now && change->now->state == VM_CREATED);
}

/* A new one of a template does, and one that was suspended. */
static bool will_resume(const struct fleet_change *change, const json_t *request)
{
    return was_made_before(change) ? change->now && change->now->state == VM_SAVED
                                   : json_object_get(request, "of_template") != NULL;
}

static int fill_item(struct launch_list *list, const struct fleet_change *change)
{
    const struct cli_fleet *fleet = list->launch->fleet;
    const json_t *request = fleet->requests[change->entry - fleet->fleet.entries];
    const char *accel = json_string_value(json_object_get(request, "accel"));
    struct vm_fleet *place = &list->places[list->count];
    struct cli_launch_item *item = &list->items[list->count];
    list->changes[list->count++] = change;
    *item = (struct cli_launch_item){.name = change->name,
                                     .place = place,
                                     .host = &list->hosts[change->host],
                                     .first = fleet_entry_has_address(change->entry),
                                     .start = change->start,
                                     .memory_mib = fleet_request_memory_mib(request),
                                     .arch = json_string_value(json_object_get(request, "arch")),
                                     .emulated = accel && !strcmp(accel, "tcg"),
                                     .resumes = will_resume(change, request),
                                     .state = was_made_before(change) ? CLI_LAUNCH_DONE : CLI_LAUNCH_WAITS};
    if (fill_place(&fleet->fleet, change, place) < 0)
        return -ENOMEM;
    item->body = change->create ? creation_of(request, change, place) : NULL;
    return change->create && !item->body ? -ENOMEM : 0;
}

static int fill_list(struct launch_list *list)
{
    const struct cli_launch *launch = list->launch;
    size_t most = launch->plan->count + 1;
    int r = 0;
    list->hosts = calloc(launch->hosts->count + 1, sizeof *list->hosts);
    list->items = calloc(most, sizeof *list->items);
    list->changes = calloc(most, sizeof *list->changes);
    list->places = calloc(most, sizeof *list->places);
    if (!list->hosts || !list->items || !list->changes || !list->places)
        return -ENOMEM;
    for (size_t i = 0; i < launch->hosts->count; i++)
        list->hosts[i] = (struct cli_launch_host){.agent = &launch->hosts->items[i].task.agent,
                                                  .text = fleet_host_text(&launch->fleet->fleet, i)};
    for (size_t i = 0; r == 0 && i < launch->plan->count; i++)
        if (launch->plan->changes[i].entry)
            r = fill_item(list, &launch->plan->changes[i]);
    return r;
}

/* Another command may have made it meanwhile, or be about to: the agent shows it once its record is written. */
static bool network_is_there(struct cli_agent *agent, const struct fleet_new_network *network)
{
    json_auto_t *reply = NULL;
    struct pi_error why;
    const uint64_t end_ms = pi_monotonic_ms() + CLI_CALL_MS;
    int r = cli_call_networks(agent, "GET", network->network->name, NULL, &reply, &why);
    while (r < 0 && why.kind == PI_NOT_FOUND && pi_monotonic_ms() < end_ms) {
        poll(NULL, 0, 50);
        r = cli_call_networks(agent, "GET", network->network->name, NULL, &reply, &why);
    }
    const char *subnet = json_string_value(json_object_get(reply, "subnet"));
    return r == 0 && (!network->subnet[0] || (subnet && !strcmp(subnet, network->subnet)));
}

static int add_networks(const struct cli_launch *launch, struct pi_error *err)
{
    for (size_t i = 0; i < launch->plan->network_count; i++) {
        const struct fleet_new_network *network = &launch->plan->networks[i];
        struct cli_agent *agent = &launch->hosts->items[network->host].task.agent;
        json_auto_t *body = json_pack("{s:s, s:s*}", "name", network->network->name, "subnet",
                                      network->subnet[0] ? network->subnet : NULL);
        int r =
            body ? cli_call_networks(agent, "POST", NULL, body, NULL, err) : pi_fail(err, ENOMEM, "networks");
        if (r < 0 && !(err->kind == PI_CONFLICT && network_is_there(agent, network)))
            return pi_context(err, r, "network %s", network->network->name);
    }
    return 0;
}

/* Labels and after are no part of the machine: they change while it runs. */
static int update_as_file(const struct cli_launch *launch, const struct fleet_change *change,
                          struct pi_error *err)
{
    const struct cli_fleet *fleet = launch->fleet;
    struct cli_agent *agent = &launch->hosts->items[change->host].task.agent;
    pi_auto_instance struct api_instance there = {0};
    json_auto_t *body =
        fleet_update_request(change->entry, fleet->requests[change->entry - fleet->fleet.entries]);
    if (!body)
        return pi_fail(err, ENOMEM, "%s", change->name);
    int r = cli_call(agent, "POST", change->name, "update", body, NULL, err);
    if (r < 0 && err->kind == PI_NOT_FOUND && cli_get_instance(agent, change->name, &there, NULL) == 0)
        pi_refuse(
            err, PI_AGENT,
            "%s: label and after are not changed: the agent of %s is older than piagent " PIAGENT_VERSION
            ": install that there, then piagent agent stop (instances run on), then piagent up",
            change->name, fleet_host_text(&fleet->fleet, change->host));
    return r;
}

/* A failure is told, and the others go on: the exit code of the first one. */
static int update_instances(const struct cli_launch *launch)
{
    int code = PI_OK;
    for (size_t i = 0; i < launch->plan->count; i++) {
        const struct fleet_change *change = &launch->plan->changes[i];
        struct pi_error err = {0};
        if (!change->updates.count || update_as_file(launch, change, &err) == 0)
            continue;
        cli_host_hint_error(&err, launch->fleet->fleet.hosts[change->host]);
        int told = launch->wait.json ? cli_report_json(&err) : cli_report(&err);
        code = code ? code : told;
    }
    return code;
}

static int remove_stopped(struct cli_task *task, struct api_instance *instance, struct pi_error *err)
{
    int r = cli_call(&task->agent, "DELETE", instance->name, NULL, NULL, NULL, err);
    if (r == 0 && !task->events)
        fprintf(stderr, "%s: removed\n", instance->name);
    return r;
}

/* A saved one is not asked: its guest does not run. */
static int ask_unless_saved(struct cli_task *task, struct api_instance *instance, struct pi_error *err)
{
    return instance->state == VM_SAVED ? 0 : cli_task_request(task, instance, err);
}

/* Those that run power themselves off first, as a member of a cluster should before it goes. */
static int remove_instances(const struct cli_launch *launch, size_t host, struct pi_error *err)
{
    struct cli_task *task = &launch->hosts->items[host].task;
    int code = PI_OK;
    task->request = "powerdown";
    task->events = launch->wait.json;
    task->chosen.items = calloc(launch->plan->count + 1, sizeof *task->chosen.items);
    if (!task->chosen.items)
        return pi_fail(err, ENOMEM, "instances");
    for (size_t i = 0; i < launch->plan->count; i++) {
        const struct fleet_change *change = &launch->plan->changes[i];
        if (!change->remove || change->host != host)
            continue;
        int r = cli_get_instance(&task->agent, change->name, &task->chosen.items[task->chosen.count], err);
        if (r < 0 && err->kind != PI_NOT_FOUND) /* another command may have removed it meanwhile */
            return r;
        task->chosen.count += r == 0;
    }
    for (size_t i = 0; i < task->chosen.count; i++)
        task->chosen.items[i].already = cli_state_is_over(task->chosen.items[i].state);
    code = cli_task_stop(task, ask_unless_saved);
    if (code <= CLI_EXIT_SIGNAL) {
        int removed = cli_task_each(task, remove_stopped);
        code = code ? code : removed;
    }
    cli_chosen_done(&task->chosen);
    return code;
}

/* How it is with an instance before the second pass. */
static enum cli_launch_state state_before_start(const struct cli_launch_item *created,
                                                const struct fleet_change *change)
{
    const struct api_instance *now = change->now;
    if (created->state == CLI_LAUNCH_FAILED)
        return CLI_LAUNCH_FAILED;
    bool is_there =
        !change->start && (now->state == VM_READY || now->state == VM_PAUSED || now->state == VM_SUSPENDED);
    return is_there ? CLI_LAUNCH_DONE : CLI_LAUNCH_WAITS;
}

/* After an interrupt: those that have begun in the last pass were undone, or go on. */
static void undo_those_in(const struct launch_list *list, enum cli_launch_state state)
{
    struct cli_screen screen;
    enum cli_undo undone = CLI_UNDO_DONE;
    cli_screen_init(&screen);
    screen.silent = list->launch->wait.json;
    for (size_t i = 0; i < list->count && undone != CLI_UNDO_CUT; i++) {
        const struct cli_launch_item *item = &list->items[i];
        struct pi_error err = {0};
        if (item->body && item->state == state &&
            cli_undo(item->host->agent, item->name, item->uuid, &screen, &undone, &err) < 0)
            (void)(screen.silent ? cli_report_json(&err) : cli_report(&err));
    }
}

/* A fleet of run --count is on one host, and no file says that it is on no other. */
static int join_hosts(const struct cli_launch *launch, struct pi_error *err)
{
    const struct fleet *fleet = &launch->fleet->fleet;
    int r = launch->wait.fresh ? 0 : cli_fleet_tell_peers(launch->hosts, fleet->name, err);
    return r < 0 ? r : cli_fleet_await_links(launch->hosts, fleet, launch->wait.json, err);
}

static int create_and_start(struct launch_list *list, struct pi_error *err)
{
    const struct cli_launch *launch = list->launch;
    struct cli_launch_pass pass = {.items = list->items,
                                   .count = list->count,
                                   .pace = launch->pace,
                                   .wait = launch->wait,
                                   .command = "piagent up"};
    pass.wait.made = true;
    pass.wait.brief = !launch->no_start;
    int code = cli_launch_pass(&pass, err);
    if (code > CLI_EXIT_SIGNAL && launch->wait.fresh)
        undo_those_in(list, CLI_LAUNCH_DONE);
    if (code < 0 || code > CLI_EXIT_SIGNAL || launch->no_start)
        return code;
    int r = join_hosts(launch, err);
    if (r != 0)
        return r;
    for (size_t i = 0; i < list->count; i++)
        list->items[i].state = state_before_start(&list->items[i], list->changes[i]);
    pass.wait = launch->wait;
    r = cli_launch_pass(&pass, err);
    if (r > CLI_EXIT_SIGNAL && launch->wait.fresh)
        undo_those_in(list, CLI_LAUNCH_WAITS);
    return r < 0 || r > CLI_EXIT_SIGNAL || !code ? r : code;
}

int cli_launch_fleet(const struct cli_launch *launch, struct pi_error *err)
{
    __attribute__((cleanup(list_done))) struct launch_list list = {.launch = launch};
    int r = fill_list(&list);
    if (r < 0)
        return pi_fail(err, -r, "fleet");
    cli_follow_hold_signals();
    r = add_networks(launch, err);
    if (r == 0)
        r = cli_fleet_link(launch->hosts, &launch->fleet->fleet, launch->plan, err);
    for (size_t host = 0; r == 0 && host < launch->hosts->count; host++)
        r = remove_instances(launch, host, err);
    if (r == 0)
        r = cli_fleet_await_removed(launch->hosts, launch->plan, err);
    if (r != 0)
        return r;
    int updated = update_instances(launch);
    r = create_and_start(&list, err);
    return r ? r : updated;
}
