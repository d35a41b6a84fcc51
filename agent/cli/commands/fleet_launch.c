/* SPDX-License-Identifier: MIT */
#include "agent/cli/commands/fleet_launch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/cli/client/start.h"
#include "agent/cli/client/wait.h"
#include "agent/cli/terminal/error_report.h"
#include "agent/cli/terminal/host_hint.h"
#include "agent/fleet/fleet_check.h"

#define CREATIONS_AT_ONCE 8 /* they take turns at the image and the disk anyway */

enum launch_state {
    LAUNCH_WAITS,
    LAUNCH_BEGUN, /* it is being created, or it boots */
    LAUNCH_DONE,
    LAUNCH_FAILED,
    LAUNCH_HELD, /* it is after one that failed */
    LAUNCH_STATES
};

struct launch_item {
    const struct fleet_change *change;
    enum launch_state state;
    unsigned load; /* while it boots, see launch_load() */
};

/* Of one pass over all instances: the creations, or the starts. */
struct launch_pass {
    const struct cli_launch *launch;
    struct launch_item *items;
    size_t count;
    bool starts;
    int code; /* of the first failure that no wait has told */
};

/*
 * How much of the host a boot takes, and how much there is. An emulated guest keeps a processor busy for its whole boot: more of
 * them than processors take longer in all, and run into their own time limits. One under KVM waits for its disk and the network
 * most of the time, so that four share a processor.
 */
enum { LOAD_KVM = 1, LOAD_EMULATED = 4 };

static unsigned launch_load(const struct api_agent *host, const json_t *request)
{
    const char *arch = json_string_value(json_object_get(request, "arch"));
    const char *accel = json_string_value(json_object_get(request, "accel"));
    bool native = !arch || !host->arch || !strcmp(arch, host->arch);
    return host->kvm && native && !(accel && !strcmp(accel, "tcg")) ? LOAD_KVM : LOAD_EMULATED;
}

/* Of a host whose older agent does not tell: it has two processors, most likely more. */
static unsigned launch_capacity(const struct api_agent *host)
{
    return LOAD_EMULATED * (unsigned)(host->cpus ? host->cpus : 2);
}

static struct cli_fleet_host *host_of(const struct cli_launch *launch, const struct fleet_change *change)
{
    return &launch->hosts->items[change->host];
}

static const json_t *request_for(const struct cli_launch *launch, const struct fleet_change *change)
{
    return launch->fleet->requests[change->entry - launch->fleet->fleet.entries];
}

/* Tells a failure that is no reason to end: the other instances go on. */
static void fail_item(struct launch_pass *pass, struct launch_item *item, struct pi_error *failure)
{
    int code = pass->launch->json ? cli_report_json(failure) : cli_report(failure);
    item->state = LAUNCH_FAILED;
    pass->code = pass->code ? pass->code : code;
    *failure = (struct pi_error){0};
}

static unsigned items_in(const struct launch_pass *pass, enum launch_state state)
{
    unsigned count = 0;
    for (size_t i = 0; i < pass->count; i++)
        count += pass->items[i].state == state;
    return count;
}

static void tell_rest(void *user, char *ret, size_t size)
{
    const struct launch_pass *pass = user;
    unsigned failed = items_in(pass, LAUNCH_FAILED) + items_in(pass, LAUNCH_HELD);
    int n = snprintf(ret, size, "%u wait, %u %s", items_in(pass, LAUNCH_WAITS), items_in(pass, LAUNCH_DONE),
                     pass->starts ? "ready" : "made");
    if (failed)
        snprintf(ret + n, size - (size_t)n, ", %u failed", failed);
}

static void item_over(void *user, const char *name, int code)
{
    struct launch_pass *pass = user;
    for (size_t i = 0; i < pass->count; i++)
        if (!strcmp(pass->items[i].change->name, name))
            pass->items[i].state = code == PI_OK ? LAUNCH_DONE : LAUNCH_FAILED;
}

static json_t *after_of(const struct fleet_entry *entry)
{
    json_auto_t *list = json_array();
    for (size_t i = 0; i < entry->after_count; i++)
        if (json_array_append_new(list, json_sprintf("%s=%s", entry->after[i].entry,
                                                     entry->after[i].ready ? "ready" : "started")) < 0)
            return NULL;
    return json_incref(list);
}

static json_t *networks_of(const struct pi_strv *networks)
{
    json_auto_t *list = json_array();
    for (size_t i = 0; i < networks->count; i++)
        if (json_array_append_new(list, json_string(networks->items[i])) < 0)
            return NULL;
    return json_incref(list);
}

static json_t *creation_of(const struct cli_launch *launch, const struct fleet_change *change)
{
    json_auto_t *body = json_copy((json_t *)request_for(launch, change));
    json_t *place = json_pack("{s:s, s:s, s:I, s:I, s:o}", "name", launch->fleet->fleet.name, "role",
                              change->entry->name, "index", (json_int_t)change->index, "count",
                              (json_int_t)fleet_entry_size(change->entry), "after", after_of(change->entry));
    json_object_del(body, "user_data_sha256");
    if (json_object_set_new(body, "name", json_string(change->name)) < 0 ||
        json_object_set_new(body, "fleet", place) < 0 ||
        (change->networks.count && json_object_set_new(body, "networks", networks_of(&change->networks)) < 0))
        return NULL;
    return json_incref(body);
}

/* An interrupted command may have left an instance that is being created. */
static int begin_creation(const struct launch_pass *pass, const struct fleet_change *change,
                          struct cli_agent *agent, struct api_instance *ret, struct pi_error *err)
{
    json_auto_t *body = creation_of(pass->launch, change);
    if (!body)
        return pi_fail(err, ENOMEM, "%s", change->name);
    return change->create ? cli_create_instance(agent, body, ret, err)
                          : cli_get_instance(agent, change->name, ret, err);
}

/* Those with an address of the file's come first: another one could be given it otherwise. NULL: there is no more. */
static struct launch_item *next_to_create(const struct launch_pass *pass)
{
    struct launch_item *first = NULL;
    for (size_t i = 0; i < pass->count; i++) {
        struct launch_item *item = &pass->items[i];
        if (item->state != LAUNCH_WAITS)
            continue;
        if (fleet_entry_has_address(item->change->entry))
            return item;
        first = first ? first : item;
    }
    return first;
}

typedef int begin_fn(const struct launch_pass *pass, const struct fleet_change *change,
                     struct cli_agent *agent, struct api_instance *ret, struct pi_error *err);

/* 1 with *ret if it is begun, 0 if it has failed, which was told, or negative if there is no agent any more. One that has died is
 * started again. */
static int begin_item(struct launch_pass *pass, struct launch_item *item, begin_fn *begin,
                      struct cli_agent **ret_agent, struct api_instance *ret, struct pi_error *err)
{
    struct cli_agent *agent = *ret_agent = &host_of(pass->launch, item->change)->task.agent;
    int r = begin(pass, item->change, agent, ret, err);
    if (r < 0 && err->kind == PI_AGENT && (agent->host.url || !cli_agent_was_stopped(&agent->paths)) &&
        cli_reconnect(agent, err) == 0) {
        api_done(instance, ret);
        r = begin(pass, item->change, agent, ret, err);
    }
    if (r == 0) {
        item->state = LAUNCH_BEGUN;
        return 1;
    }
    api_done(instance, ret);
    if (err->kind == PI_AGENT)
        return r;
    cli_host_hint_error(err, agent->host.url);
    fail_item(pass, item, err);
    return 0;
}

static int next_creation(void *user, unsigned waiting, struct cli_agent **ret_agent, struct api_instance *ret,
                         struct pi_error *err)
{
    struct launch_pass *pass = user;
    struct launch_item *item;
    int r = 0;
    while (r == 0 && waiting < CREATIONS_AT_ONCE && (item = next_to_create(pass)))
        r = begin_item(pass, item, begin_creation, ret_agent, ret, err);
    return r;
}

/* 1: it may start. 0: not yet. Negative: it never may. */
static int may_start(const struct launch_pass *pass, const struct launch_item *item, const char **ret_why)
{
    const struct fleet_entry *entry = item->change->entry;
    for (size_t i = 0; i < entry->after_count; i++)
        for (size_t k = 0; k < pass->count; k++) {
            const struct launch_item *other = &pass->items[k];
            bool begun = other->state == LAUNCH_BEGUN && !entry->after[i].ready;
            if (strcmp(other->change->entry->name, entry->after[i].entry) != 0 ||
                other->state == LAUNCH_DONE || begun)
                continue;
            *ret_why = other->change->name;
            return other->state == LAUNCH_FAILED || other->state == LAUNCH_HELD ? -1 : 0;
        }
    return 1;
}

/* UINT64_MAX: not known, QEMU will say it. */
static uint64_t memory_available_mib(struct cli_agent *agent)
{
    struct api_agent now = {0};
    uint64_t mib = cli_get_agent(agent, &now, NULL) == 0 && now.memory_available_mib
                       ? now.memory_available_mib
                       : UINT64_MAX;
    api_done(agent, &now);
    return mib;
}

/* 1: there is room for it. 0: when others are up, there may be. Negative: there is none. */
static int host_has_room(const struct launch_pass *pass, const struct launch_item *item, struct pi_error *err)
{
    char needed_text[32], there[32];
    struct cli_fleet_host *host = host_of(pass->launch, item->change);
    unsigned load = 0, begun = 0;
    for (size_t i = 0; i < pass->count; i++)
        if (pass->items[i].state == LAUNCH_BEGUN && pass->items[i].change->host == item->change->host) {
            load += pass->items[i].load;
            begun++;
        }
    uint64_t most = pass->launch->parallel;
    if (begun && (most ? begun >= most : load + item->load > launch_capacity(&host->told)))
        return 0;
    const struct fleet_entry *entry = item->change->entry;
    uint64_t needed = fleet_entry_memory_mib(entry) / fleet_entry_size(entry);
    uint64_t available = pass->launch->overcommit ? UINT64_MAX : memory_available_mib(&host->task.agent);
    if (needed <= available)
        return 1;
    if (begun)
        return 0;
    return pi_refuse(
        err, PI_HOST,
        "%s is not started: it may take %s, and %s has %s available; stop other programs, or give "
        "--overcommit",
        item->change->name, pi_size_format(needed << 20, needed_text),
        fleet_host_text(&pass->launch->fleet->fleet, item->change->host),
        pi_size_format(available << 20, there));
}

/* Starts it, unless it runs already and is only waited for. */
static int begin_start(const struct launch_pass *pass, const struct fleet_change *change,
                       struct cli_agent *agent, struct api_instance *ret, struct pi_error *err)
{
    (void)pass;
    if (!change->start)
        return cli_get_instance(agent, change->name, ret, err);
    ret->name = strdup(change->name);
    return ret->name ? cli_start_one(agent, ret, err) : pi_fail(err, ENOMEM, "%s", change->name);
}

static void hold_item(struct launch_pass *pass, struct launch_item *item, const char *why)
{
    struct pi_error err = {0};
    pi_refuse(&err, PI_GUEST,
              "%s is not started: %s, which it is after, did not come up: mend it, then piagent up",
              item->change->name, why);
    fail_item(pass, item, &err);
    item->state = LAUNCH_HELD;
}

static int next_start(void *user, unsigned waiting, struct cli_agent **ret_agent, struct api_instance *ret,
                      struct pi_error *err)
{
    struct launch_pass *pass = user;
    bool full[FLEET_HOSTS_MAX] = {false};
    (void)waiting;
    for (size_t i = 0; i < pass->count; i++) {
        struct launch_item *item = &pass->items[i];
        const char *why = NULL;
        int may = item->state == LAUNCH_WAITS ? may_start(pass, item, &why) : 0;
        if (may == 0 || (may > 0 && full[item->change->host]))
            continue;
        if (may < 0) {
            hold_item(pass, item, why);
        } else {
            int room = item->change->start ? host_has_room(pass, item, err) : 1;
            full[item->change->host] = room == 0; /* in order: a small one does not overtake */
            if (room == 0)
                continue;
            if (room < 0)
                fail_item(pass, item, err);
            int r = room < 0 ? 0 : begin_item(pass, item, begin_start, ret_agent, ret, err);
            if (r != 0)
                return r;
        }
        i = SIZE_MAX; /* from the first one again: those that are after it are held */
    }
    return 0;
}

static int run_pass(struct launch_pass *pass, struct pi_error *err)
{
    const struct cli_launch *launch = pass->launch;
    const struct cli_wait how = {.stopped = !pass->starts,
                                 .brief = !pass->starts,
                                 .json = launch->json,
                                 .timeout_ms = launch->timeout_ms};
    const struct cli_wait_source source = {.next = pass->starts ? next_start : next_creation,
                                           .over = item_over,
                                           .rest = tell_rest,
                                           .user = pass};
    int r = cli_wait_each(&how, &source, err);
    return r ? r : pass->code;
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
        if (r < 0)
            return pi_context(err, r, "network %s", network->network->name);
    }
    return 0;
}

static int remove_stopped(struct cli_task *task, struct api_instance *instance, struct pi_error *err)
{
    int r = cli_call(&task->agent, "DELETE", instance->name, NULL, NULL, NULL, err);
    if (r == 0 && !task->events)
        fprintf(stderr, "%s: removed\n", instance->name);
    return r;
}

/* Those that run power themselves off first, as a member of a cluster should before it goes. */
static int remove_instances(const struct cli_launch *launch, size_t host, struct pi_error *err)
{
    struct cli_task *task = &launch->hosts->items[host].task;
    int code = PI_OK;
    task->request = "powerdown";
    task->events = launch->json;
    task->chosen.items = calloc(launch->plan->count + 1, sizeof *task->chosen.items);
    if (!task->chosen.items)
        return pi_fail(err, ENOMEM, "instances");
    for (size_t i = 0; i < launch->plan->count; i++) {
        const struct fleet_change *change = &launch->plan->changes[i];
        if (!change->remove || change->host != host)
            continue;
        if (cli_get_instance(&task->agent, change->name, &task->chosen.items[task->chosen.count], err) < 0)
            return -ENOENT;
        task->chosen.count++;
    }
    for (size_t i = 0; i < task->chosen.count; i++)
        task->chosen.items[i].already = cli_state_is_over(task->chosen.items[i].state);
    code = cli_task_stop(task);
    if (code <= CLI_EXIT_SIGNAL) {
        int removed = cli_task_each(task, remove_stopped);
        code = code ? code : removed;
    }
    cli_chosen_done(&task->chosen);
    return code;
}

static bool was_made_before(const struct fleet_change *change)
{
    return !change->create && !(change->now && change->now->state == VM_CREATED);
}

/* Which of the instances a pass is about, and how it is with them when it begins. */
static enum launch_state state_before_start(const struct launch_item *created,
                                            const struct fleet_change *change)
{
    const struct api_instance *now = change->now;
    if (created->state == LAUNCH_FAILED)
        return LAUNCH_FAILED;
    bool is_there =
        !change->start && (now->state == VM_READY || now->state == VM_PAUSED || now->state == VM_SUSPENDED);
    return is_there ? LAUNCH_DONE : LAUNCH_WAITS;
}

int cli_launch_fleet(const struct cli_launch *launch, struct pi_error *err)
{
    pi_auto_free struct launch_item *items = calloc(launch->plan->count + 1, sizeof *items);
    struct launch_pass pass = {.launch = launch, .items = items};
    if (!items)
        return pi_fail(err, ENOMEM, "fleet");
    cli_follow_hold_signals();
    int r = add_networks(launch, err);
    for (size_t host = 0; r == 0 && host < launch->hosts->count; host++)
        r = remove_instances(launch, host, err);
    if (r != 0)
        return r;
    for (size_t i = 0; i < launch->plan->count; i++) {
        const struct fleet_change *change = &launch->plan->changes[i];
        if (change->entry)
            items[pass.count++] = (struct launch_item){
                .change = change,
                .state = was_made_before(change) ? LAUNCH_DONE : LAUNCH_WAITS,
                .load = launch_load(&host_of(launch, change)->told, request_for(launch, change))};
    }
    int code = run_pass(&pass, err);
    if (code < 0 || code > CLI_EXIT_SIGNAL)
        return code;
    for (size_t i = 0; i < pass.count; i++)
        items[i].state = state_before_start(&items[i], items[i].change);
    pass.code = PI_OK;
    pass.starts = true;
    r = run_pass(&pass, err);
    return r < 0 || r > CLI_EXIT_SIGNAL || !code ? r : code;
}
