/* SPDX-License-Identifier: MIT */
#include "agent/daemon/handlers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/api/openapi.h"
#include "agent/api/operations.h"
#include "agent/base/auto.h"
#include "agent/daemon/agent.h"
#include "agent/daemon/capacity.h"
#include "agent/daemon/fleets.h"
#include "agent/daemon/metrics.h"
#include "agent/daemon/networks.h"
#include "agent/instance/api_view.h"
#include "agent/instance/creation_check.h"
#include "agent/instance/guest_seed.h"
#include "agent/instance/instance.h"
#include "agent/instance/qemu_command.h"
#include "agent/loop/log.h"
#include "agent/vm/argv_explain.h"

static void get_openapi(struct agent *agent, struct api_call *call)
{
    (void)agent;
    api_reply(call, 200, api_openapi());
}

/* check_query() has checked it. */
static uint64_t query_number(struct api_call *call, const char *name, uint64_t otherwise)
{
    uint64_t value = otherwise;
    const char *text = api_call_query(call, name);
    if (text)
        (void)pi_number_parse(text, 0, INT64_MAX, &value, NULL);
    return value;
}

static bool came_up_under_kvm(const struct vm_record *record)
{
    return record->accel == VM_ACCEL_KVM && record->ready_ms && record->ready_ms >= record->started_ms;
}

static void get_agent(struct agent *agent, struct api_call *call)
{
    struct api_agent view = {.version = (char *)PIAGENT_VERSION,
                             .pid = (uint64_t)getpid(),
                             .imds_port = agent->seed_port.port,
                             .started_ms = agent->host.started_ms,
                             .running = agent_running(agent),
                             .state_folder = agent->paths.state,
                             .metrics = *agent->metrics.address ? (char *)agent->metrics.address : NULL,
                             .metrics_failure = agent->metrics.failure};
    const struct instance *instance;
    LIST_FOREACH(instance, &agent->host.instances, entry) {
        view.instances += !vm_life_is_gone(&instance->record.life);
        view.kvm_proven = view.kvm_proven || came_up_under_kvm(&instance->record);
    }
    capacity_look(&agent->host, &view);
    if (!query_number(call, "summary", 0))
        view.memory_promised_mib = capacity_promised_mib(&agent->host);
    api_reply(call, 200, api_write(agent, &view));
}

/* A stop of the agent would undo a creation. */
static int refuse_creation(const struct agent *agent, struct pi_error *err)
{
    const struct instance *instance;
    LIST_FOREACH(instance, &agent->host.instances, entry)
        if (creation_is_under_way(instance))
            return pi_refuse(
                err, PI_CONFLICT,
                "%s is being created: wait for it, undo it with piagent rm %s, or stop the agent all the same, "
                "which undoes it, with: piagent agent stop --force",
                instance->record.spec.name, instance->record.spec.name);
    return 0;
}

static void stop_agent(struct agent *agent, struct api_call *call)
{
    struct api_agent_stop how = {0};
    struct pi_error err;
    json_auto_t *body = api_call_json(call, &err);
    int r = body ? pi_fields_read(api_agent_stop_fields, body, false, &how, &err) : -EINVAL;
    if (r == 0 && !how.force)
        r = refuse_creation(agent, &err);
    if (r < 0) {
        api_reply_error(call, &err);
        return;
    }
    log_line("asked to stop: guests run on");
    api_reply(call, 200, json_object());
    agent_stop(agent);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct instance *const *)a)->record.spec.name,
                  (*(struct instance *const *)b)->record.spec.name);
}

static void list_instances(struct agent *agent, struct api_call *call)
{
    json_t *(*view)(const struct instance *) =
        query_number(call, "summary", 0) ? instance_summary : instance_view;
    json_t *list = json_array();
    size_t count = 0, i = 0;
    struct instance *instance;
    LIST_FOREACH(instance, &agent->host.instances, entry)
        count++;
    pi_auto_free struct instance **sorted = calloc(count + 1, sizeof *sorted);
    LIST_FOREACH(instance, &agent->host.instances, entry)
        if (sorted && !vm_life_is_gone(&instance->record.life))
            sorted[i++] = instance;
    if (i)
        qsort(sorted, i, sizeof *sorted, by_name);
    for (size_t k = 0; k < i; k++)
        json_array_append_new(list, view(sorted[k]));
    api_reply(call, 200, json_pack("{s:o}", "instances", list));
}

static void create_instance(struct agent *agent, struct api_call *call)
{
    struct api_create request = {.spec.arch = vm_arch_host()};
    struct instance *instance;
    struct pi_error err;
    json_auto_t *body = api_call_json(call, &err);
    int r = body ? pi_fields_read(api_create_fields, body, false, &request, &err) : -EINVAL;
    if (r == 0)
        r = instance_create(&agent->host, &request, &instance, &err);
    if (r < 0)
        api_reply_error(call, &err);
    else
        store_answer(instance, call, 202, false);
    api_done(create, &request);
}

static void check_new_instance(struct agent *agent, struct api_call *call)
{
    struct api_create request = {.spec.arch = vm_arch_host()};
    struct pi_error err;
    json_auto_t *body = api_call_json(call, &err);
    int r = body ? pi_fields_read(api_create_fields, body, false, &request, &err) : -EINVAL;
    if (r == 0 && request.clone_of)
        r = pi_refuse(&err, PI_USAGE, "a clone cannot be checked: what is refused is told when it is made");
    if (r == 0)
        api_reply(call, 200, json_pack("{s:o}", "faults", creation_check(&agent->host, &request)));
    else
        api_reply_error(call, &err);
    api_done(create, &request);
}

static void get_instance(struct instance *instance, struct api_call *call)
{
    api_reply(call, 200, instance_view(instance));
}

static void delete_instance(struct instance *instance, struct api_call *call)
{
    struct pi_error err;
    const char *name = instance->record.spec.name;
    if (!vm_state_is_live(instance->record.life.state)) {
        instance_remove(instance, call);
        return;
    }
    pi_refuse(&err, PI_CONFLICT, "%s is %s: piagent powerdown %s first, or piagent rm --force %s", name,
              vm_state_names[instance->record.life.state], name, name);
    api_reply_error(call, &err);
}

/* A broken instance can only be removed. An instance that is being created has no QEMU yet. */
static int check_whole(const struct instance *instance, struct pi_error *err)
{
    const char *name = instance->record.spec.name;
    if (instance->broken)
        return pi_refuse(err, PI_CONFLICT, "%s: %s", name, instance->record.life.reason);
    if (store_is_discarding(instance))
        return pi_refuse(err, PI_CONFLICT, "%s is being removed", name);
    if (creation_is_under_way(instance))
        return pi_refuse(err, PI_CONFLICT, "%s is being created: wait, or undo it with: piagent rm %s", name,
                         name);
    return 0;
}

static void request_event(struct instance *instance, struct api_call *call, enum vm_event_type type)
{
    struct pi_error err;
    int r = check_whole(instance, &err);
    if (r == 0)
        r = instance_request(instance, type, &err);
    if (r < 0)
        api_reply_error(call, &err);
    else
        store_answer(instance, call, 202, r > 0);
}

static void reseed_instance(struct instance *instance, struct api_call *call)
{
    struct pi_error err;
    bool already = !instance->record.booted;
    if (check_whole(instance, &err) < 0 || guest_seed_set_booted(instance, false, &err) < 0) {
        api_reply_error(call, &err);
        return;
    }
    if (!already)
        journal_note(instance,
                     "the seed of the first boot is served again, until the end of the next successful boot");
    store_answer(instance, call, 200, already);
}

/* The lists that body gives change places with those of the spec, if the whole is then right. */
static int update_spec(struct vm_spec *spec, const json_t *body, struct api_update *update,
                       struct pi_error *err)
{
    bool labels = json_object_get(body, "labels"), after = json_object_get(body, "after");
    struct vm_spec wanted = *spec;
    if (after && !spec->fleet.name[0])
        return pi_refuse(err, PI_USAGE, "%s is in no fleet: it cannot be after others", spec->name);
    if (labels)
        wanted.labels = update->labels;
    if (after)
        wanted.fleet.after = update->after;
    int r = vm_spec_check(&wanted, err);
    if (r < 0)
        return r;
    update->labels = labels ? spec->labels : update->labels;
    update->after = after ? spec->fleet.after : update->after;
    *spec = wanted;
    return 0;
}

static void update_instance(struct instance *instance, struct api_call *call)
{
    struct api_update update = {0};
    struct pi_error err;
    json_auto_t *body = api_call_json(call, &err);
    int r = body ? pi_fields_read(api_update_fields, body, false, &update, &err) : -EINVAL;
    if (r == 0)
        r = check_whole(instance, &err);
    if (r == 0)
        r = update_spec(&instance->record.spec, body, &update, &err);
    if (r == 0) {
        store_save(instance);
        store_answer(instance, call, 200, false);
    } else {
        api_reply_error(call, &err);
    }
    pi_fields_done(api_update_fields, &update);
}

static void start_instance(struct instance *instance, struct api_call *call)
{
    struct api_start start = {0};
    struct pi_error err;
    json_auto_t *body = api_call_json(call, &err);
    if (!body || pi_fields_read(api_start_fields, body, false, &start, &err) < 0)
        api_reply_error(call, &err);
    else
        request_event(instance, call, start.cold ? VM_EVENT_START_COLD : VM_EVENT_START);
}

static void suspend_instance(struct instance *instance, struct api_call *call)
{
    request_event(instance, call, VM_EVENT_SAVE);
}

static void list_snapshots(struct instance *instance, struct api_call *call)
{
    api_reply(call, 200, json_pack("{s:o}", "snapshots", snapshot_list(instance)));
}

/* Reads the body of a request for a snapshot, and answers a call that it cannot be. */
static bool read_snapshot_request(struct instance *instance, struct api_call *call,
                                  const struct pi_field *fields, struct api_snapshot_request *ret)
{
    struct pi_error err;
    json_auto_t *body = api_call_json(call, &err);
    int r = body ? pi_fields_read(fields, body, false, ret, &err) : -EINVAL;
    if (r == 0)
        r = check_whole(instance, &err);
    if (r < 0)
        api_reply_error(call, &err);
    return r == 0;
}

static void create_snapshot(struct instance *instance, struct api_call *call)
{
    struct api_snapshot_request request = {0};
    if (read_snapshot_request(instance, call, api_new_snapshot_fields, &request))
        snapshot_create(instance, call, request.tag);
    pi_fields_done(api_new_snapshot_fields, &request);
}

static void restore_to_snapshot(struct instance *instance, struct api_call *call)
{
    struct api_snapshot_request request = {0};
    if (read_snapshot_request(instance, call, api_restore_fields, &request))
        snapshot_restore(instance, call, request.tag, request.cold);
    pi_fields_done(api_restore_fields, &request);
}

static void remove_a_snapshot(struct instance *instance, struct api_call *call)
{
    struct api_snapshot_request request = {0};
    if (read_snapshot_request(instance, call, api_old_snapshot_fields, &request))
        snapshot_remove(instance, call, request.tag);
    pi_fields_done(api_old_snapshot_fields, &request);
}

/* The times of a stop are those that it began with. */
static void stop_instance(struct instance *instance, struct api_call *call, enum vm_event_type type)
{
    struct api_stop stop = {0};
    struct pi_error err;
    json_auto_t *body = api_call_json(call, &err);
    if (!body || pi_fields_read(api_stop_fields, body, false, &stop, &err) < 0) {
        api_reply_error(call, &err);
        return;
    }
    stop_set_times(instance, stop.timeout_ms, stop.step_ms);
    request_event(instance, call, type);
}

static void kill_instance(struct instance *instance, struct api_call *call)
{
    stop_instance(instance, call, VM_EVENT_KILL);
}

static void power_down_instance(struct instance *instance, struct api_call *call)
{
    stop_instance(instance, call, VM_EVENT_POWERDOWN);
}

/* A request that is answered after QEMU has answered. */
struct asking {
    enum qmp_command command;
    enum vm_event_type done; /* what the answer says; QEMU's own event may come later */
    const char *what;        /* "paused" */
    bool (*allowed)(const struct instance *instance);
    bool (*already)(const struct instance *instance); /* whether what is asked for is so; NULL: it never is */
};

struct pending {
    struct instance *instance;
    struct api_call *call;
    struct asking asking;
};

static bool is_so_already(const struct instance *instance, const struct asking *asking)
{
    return asking->already && asking->already(instance);
}

static void on_answered(int result, const json_t *data, const char *why, void *user)
{
    struct pending *pending = user;
    struct pi_error err;
    (void)data;
    /* If two ask at once, QEMU may refuse the second because the first one's is done. */
    if (result < 0 && is_so_already(pending->instance, &pending->asking)) {
        store_answer(pending->instance, pending->call, 200, true);
    } else if (result < 0) {
        pi_refuse(&err, result == -ETIMEDOUT ? PI_TIMEOUT : PI_FAILED, "%s: QEMU did not do it: %s",
                  pending->instance->record.spec.name, why);
        api_reply_error(pending->call, &err);
    } else {
        instance_feed(pending->instance, &(struct vm_event){.type = pending->asking.done});
        store_answer(pending->instance, pending->call, 200, false);
    }
    instance_unref(pending->instance);
    free(pending);
}

/* Asks QEMU; on_answered() answers the call. False if QEMU could not be asked. */
static bool execute_for_call(struct instance *instance, struct api_call *call, const struct asking *asking)
{
    struct pending *pending = malloc(sizeof *pending);
    if (!pending)
        return false;
    *pending = (struct pending){.instance = instance, .call = call, .asking = *asking};
    instance_ref(instance);
    if (monitor_execute(instance, asking->command, on_answered, pending) == 0)
        return true;
    instance_unref(instance);
    free(pending);
    return false;
}

static void ask_qemu(struct instance *instance, struct api_call *call, const struct asking *asking)
{
    struct pi_error err;
    const char *name = instance->record.spec.name;
    bool already = is_so_already(instance, asking);
    if (!already && vm_state_is_saved(instance->record.life.state)) {
        instance_refuse(instance, &err);
    } else if (!already && !asking->allowed(instance)) {
        pi_refuse(&err, PI_CONFLICT, "%s is %s: it cannot be %s now", name,
                  vm_state_names[instance->record.life.state], asking->what);
    } else if (!monitor_is_usable(instance)) {
        pi_refuse(&err, PI_FAILED,
                  "%s: QEMU's monitor cannot be asked now: try again, or end it with: piagent kill %s", name,
                  name);
    } else if (already) {
        store_answer(instance, call, 200, true);
        return;
    } else if (execute_for_call(instance, call, asking)) {
        return;
    } else {
        pi_refuse(&err, PI_FAILED, "%s: QEMU takes no more requests now: try again", name);
    }
    api_reply_error(call, &err);
}

static bool is_paused(const struct instance *instance)
{
    return instance->record.life.state == VM_PAUSED;
}

static bool stands_still(const struct instance *instance)
{
    return vm_state_stands_still(instance->record.life.state);
}

static bool has_guest(const struct instance *instance)
{
    return instance_runs(instance) || stands_still(instance);
}

static void reset_instance(struct instance *instance, struct api_call *call)
{
    ask_qemu(instance, call, &(struct asking){QMP_SYSTEM_RESET, VM_EVENT_RESET, "reset", has_guest, NULL});
}

static void pause_instance(struct instance *instance, struct api_call *call)
{
    ask_qemu(instance, call,
             &(struct asking){QMP_STOP, VM_EVENT_STOPPED, "paused", instance_runs, is_paused});
}

static void resume_instance(struct instance *instance, struct api_call *call)
{
    bool sleeps = instance->record.life.state == VM_SUSPENDED;
    ask_qemu(instance, call,
             &(struct asking){sleeps ? QMP_SYSTEM_WAKEUP : QMP_CONT, VM_EVENT_CONTINUED, "resumed",
                              stands_still, instance_runs});
}

static void reply_with_stream(struct api_call *call, int r, const struct api_stream *source,
                              const struct pi_error *err)
{
    if (r < 0)
        api_reply_error(call, err);
    else
        api_reply_stream(call, source);
}

static void get_all_events(struct agent *agent, struct api_call *call)
{
    struct api_stream source;
    struct pi_error err;
    reply_with_stream(call, feed_stream(&agent->feed, query_number(call, "follow", 0), &source, &err),
                      &source, &err);
}

static void get_events(struct instance *instance, struct api_call *call)
{
    struct api_stream source;
    struct pi_error err;
    reply_with_stream(call,
                      journal_stream(instance, query_number(call, "since", 0),
                                     query_number(call, "follow", 0), &source, &err),
                      &source, &err);
}

static void get_console(struct instance *instance, struct api_call *call)
{
    struct api_stream source;
    struct pi_error err;
    const struct console_part part = {.tail = query_number(call, "tail", UINT64_MAX),
                                      .last_lines = query_number(call, "last_lines", UINT64_MAX),
                                      .lines = query_number(call, "lines", 0),
                                      .follow = query_number(call, "follow", 0)};
    reply_with_stream(call, console_stream(instance, &part, &source, &err), &source, &err);
}

static void post_console(struct instance *instance, struct api_call *call)
{
    const struct pi_buf *body = api_call_body(call);
    struct pi_error err;
    int r = console_type(instance, body->data, body->size, &err);
    if (r < 0)
        api_reply_error(call, &err);
    else
        api_reply(call, 200, json_object());
}

static void get_qemu_command(struct instance *instance, struct api_call *call)
{
    struct pi_error err;
    pi_auto_strv struct pi_strv argv = {0};
    if (instance->broken)
        pi_refuse(&err, PI_CONFLICT, "%s: %s", instance->record.spec.name, instance->record.life.reason);
    if (instance->broken ||
        qemu_command_show(instance, query_number(call, "standalone", 0), &argv, &err) < 0) {
        api_reply_error(call, &err);
        return;
    }
    json_t *reply = api_write(qemu_command, &(struct api_qemu_command){argv});
    json_object_set_new(reply, "options", vm_argv_explain(&argv));
    api_reply(call, 200, reply);
}

const struct handler agent_handlers[API_OPERATIONS] = {
    [API_GET_OPENAPI] = {.agent = get_openapi},
    [API_GET_AGENT] = {.agent = get_agent},
    [API_GET_METRICS] = {.agent = metrics_reply},
    [API_STOP_AGENT] = {.agent = stop_agent},
    [API_GET_ALL_EVENTS] = {.agent = get_all_events},
    [API_LIST_INSTANCES] = {.agent = list_instances},
    [API_CREATE_INSTANCE] = {.agent = create_instance},
    [API_CHECK_INSTANCE] = {.agent = check_new_instance},
    [API_GET_INSTANCE] = {.instance = get_instance},
    [API_DELETE_INSTANCE] = {.instance = delete_instance},
    [API_START] = {.instance = start_instance},
    [API_POWERDOWN] = {.instance = power_down_instance},
    [API_KILL] = {.instance = kill_instance},
    [API_RESET] = {.instance = reset_instance, .asks_qemu = true},
    [API_PAUSE] = {.instance = pause_instance, .asks_qemu = true},
    [API_RESUME] = {.instance = resume_instance, .asks_qemu = true},
    [API_SUSPEND] = {.instance = suspend_instance, .asks_qemu = true},
    [API_LIST_SNAPSHOTS] = {.instance = list_snapshots},
    [API_CREATE_SNAPSHOT] = {.instance = create_snapshot, .asks_qemu = true},
    [API_RESTORE_SNAPSHOT] = {.instance = restore_to_snapshot},
    [API_REMOVE_SNAPSHOT] = {.instance = remove_a_snapshot},
    [API_RESEED] = {.instance = reseed_instance},
    [API_UPDATE] = {.instance = update_instance},
    [API_GET_EVENTS] = {.instance = get_events},
    [API_GET_CONSOLE] = {.instance = get_console},
    [API_TYPE] = {.instance = post_console},
    [API_GET_QEMU_COMMAND] = {.instance = get_qemu_command},
    [API_LIST_NETWORKS] = {.agent = networks_list},
    [API_CREATE_NETWORK] = {.agent = networks_create},
    [API_GET_NETWORK] = {.network = networks_get},
    [API_DELETE_NETWORK] = {.network = networks_delete},
    [API_LINK_NETWORK] = {.network = networks_link},
    [API_UNLINK_NETWORK] = {.network = networks_unlink},
    [API_TELL_FLEET] = {.fleet = fleets_tell},
};
