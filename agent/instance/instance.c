/* SPDX-License-Identifier: MIT */
#include "agent/instance/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/instance/accel.h"
#include "agent/instance/clone_request.h"
#include "agent/instance/guest_seed.h"
#include "agent/instance/membership.h"
#include "agent/instance/qemu_sockets.h"
#include "agent/instance/start_files.h"
#include "agent/instance/state_load.h"
#include "agent/instance/state_save.h"
#include "agent/loop/log.h"

/* 0 or -ENOMEM. */
static int init_parts(struct instance *instance)
{
    static int (*const inits[])(struct instance * instance) = {
        launch_init,  monitor_init,  stop_init,   guest_init,       console_init,
        network_init, identity_init, set_up_init, saved_state_init, template_init};
    int r = 0;
    store_init(instance);
    journal_init(instance);
    process_init(instance);
    silence_init(instance);
    for (size_t i = 0; i < PI_ARRAY_SIZE(inits); i++)
        r = inits[i](instance) < 0 ? -ENOMEM : r;
    return r;
}

/* The one place that ends the state of a run. The monitor closes before the process, the console and the
 * network, because closing it answers requests that wait for QEMU. */
void instance_reset(struct instance *instance)
{
    launch_reset(instance);
    stop_reset(instance);
    guest_reset(instance);
    boot_reset(instance);
    silence_reset(instance);
    monitor_reset(instance);
    saved_state_reset(instance);
    template_reset(instance);
    console_reset(instance);
    guest_link_reset(instance);
    identity_reset(instance);
    set_up_reset(instance);
    network_reset(instance);
    process_reset(instance);
    creation_reset(instance);
}

static void done_parts(struct instance *instance)
{
    launch_done(instance);
    stop_done(instance);
    guest_done(instance);
    boot_done(instance);
    silence_done(instance);
    monitor_done(instance);
    console_done(instance);
    guest_link_done(instance);
    identity_done(instance);
    set_up_done(instance);
    network_done(instance);
    saved_state_done(instance);
    template_done(instance);
    creation_done(instance);
    store_done(instance);
    journal_done(instance);
}

static int open_logs(struct instance *instance, struct pi_error *err)
{
    int journal = journal_open(instance, err);
    int console = console_open_log(instance, journal < 0 ? NULL : err);
    if (journal < 0)
        return journal;
    if (journal_is_cut(instance))
        boot_recall_cut(instance);
    journal_recall(instance, boot_recall);
    return console;
}

static int open_folder(struct instance *instance, const char *name, struct pi_error *err)
{
    instance->dir_fd =
        openat(instance->host->folder_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    int r = instance->dir_fd < 0 ? pi_fail(err, errno, "%s", instance->folder) : 0;
    int logs = open_logs(instance, r < 0 ? NULL : err);
    return r < 0 ? r : logs;
}

int instance_new(struct instance_host *host, struct vm_record *record, struct instance **ret,
                 struct pi_error *err)
{
    struct instance *instance = calloc(1, sizeof *instance);
    if (!instance)
        return pi_fail(err, ENOMEM, "instance");
    *instance = (struct instance){.host = host, .refs = 1, .dir_fd = -1};
    int r = init_parts(instance);
    if (r < 0 || asprintf(&instance->folder, "%s/%s", host->folder, record->spec.name) < 0)
        r = pi_fail(err, ENOMEM, "instance");
    if (r == 0 && (r = open_folder(instance, record->spec.name, err)) < 0 &&
        record->life.state != VM_CREATED) {
        /* An instance that is there already is worth more than its logs, and shown even if it is lost. */
        log_line("%s: %s", record->spec.name, err->text);
        r = 0;
    }
    if (r < 0) {
        instance_unref(instance);
        return r;
    }
    instance->record = *record;
    *record = (struct vm_record){0};
    LIST_INSERT_HEAD(&host->instances, instance, entry);
    peers_changed(instance);
    *ret = instance;
    return 0;
}

void instance_ref(struct instance *instance)
{
    instance->refs++;
}

void instance_unref(struct instance *instance)
{
    if (--instance->refs)
        return;
    instance_reset(instance);
    done_parts(instance);
    pi_close_p(&instance->dir_fd);
    vm_record_done(&instance->record);
    free(instance->folder);
    free(instance);
}

void instance_detach(struct instance *instance)
{
    LIST_REMOVE(instance, entry);
    peers_changed(instance);
    peers_left(instance->host);
    instance->detached = true;
    membership_changed(instance);
    store_refuse_waiting(instance, NULL);
    snapshot_end(instance);
    instance_reset(instance);
    store_stop(instance);
    journal_end(instance);
    console_end(instance);
    instance_unref(instance);
}

bool instance_runs(const struct instance *instance)
{
    return vm_state_runs(instance->record.life.state);
}

/* QEMU has ended: reads the rest of its output, and gives back everything that belonged to it. */
static void clean_up(struct instance *instance)
{
    store_forget_plans(instance);
    console_drain(instance);
    instance_reset(instance);
    qemu_sockets_clean(instance);
    guest_seed_withdraw(instance);
    instance->record.pid = instance->record.start_ticks = 0;
    if (vm_life_has_ended(&instance->record.life))
        launch_leave_template(instance);
}

static void note_state(struct instance *instance, enum vm_state before)
{
    struct vm_record *record = &instance->record;
    uint64_t now = pi_realtime_ms();
    if (record->life.state == VM_STARTING)
        record->started_ms = record->boot_ms = now, record->ready_ms = record->stopped_ms = 0,
        record->step_ms = 0;
    else if (record->life.state == VM_RESTORING) /* its boot is the same, and stopped_ms is still of use */
        record->started_ms = now, record->boot_ms = record->identity_due ? now : record->boot_ms,
        record->step_ms = 0;
    else if (record->life.state == VM_READY && (!record->ready_ms || !vm_state_rests(before)))
        record->ready_ms = now;
    else if (!vm_state_is_live(record->life.state) && before != VM_RESTORING)
        record->stopped_ms = now;
    if (!vm_state_is_saved(record->life.state))
        record->saved_bytes = 0;
    milestones_add(instance,
                   &(struct api_event){.kind = API_EVENT_STATE,
                                       .state = record->life.state,
                                       .text = record->life.reason[0] ? record->life.reason : NULL});
    if (instance_runs(instance) && (before == VM_STARTING || record->identity_due))
        boot_tell_begin(instance, record->identity_due ? API_BOOT_RESUMED : API_BOOT_STARTED);
    log_line("%s: %s%s%s", record->spec.name, vm_state_names[record->life.state],
             record->life.reason[0] ? ": " : "", record->life.reason);
    host_state(instance->host);
    membership_changed(instance);
    peers_changed(instance);
    guest_link_note_pause(instance, before);
    template_state_changed(instance, before);
    set_up_look(instance);
    if (before == VM_RESTORING && instance_runs(instance)) {
        record->stopped_ms = 0;
        identity_adopted(instance);
    }
}

void instance_carry_out(struct instance *instance, unsigned actions)
{
    if (actions & VM_DO_DROP_STATE)
        saved_state_drop(instance);
    if (actions & VM_DO_SAVE_STATE)
        state_save_begin(instance);
    if (actions & VM_DO_LOAD_STATE)
        state_load_begin(instance);
    if (actions & (VM_DO_CONT | VM_DO_QUIT | VM_DO_TERM))
        template_thaw(instance);
    if (actions & VM_DO_CONT)
        monitor_ask_cont(instance);
    if (actions & VM_DO_RESET)
        monitor_command(instance, QMP_SYSTEM_RESET);
    if (actions & VM_DO_WAKE)
        monitor_command(instance, QMP_SYSTEM_WAKEUP);
    stop_carry_out(instance, actions);
    if (actions & VM_DO_WATCH_SIGN)
        guest_await_sign(instance);
    if (actions & VM_DO_LAUNCH)
        launch_begin(instance);
    creation_carry_out(instance, actions);
    identity_tell(instance);
}

/* The order matters: an ended QEMU is cleaned up before a new one starts, and the record is on disk before
 * QEMU starts or is sent anything. */
static void act_on_life(struct instance *instance, const struct vm_event *event, unsigned actions)
{
    /* A stop was asked for before the start came as far as a process: there is nothing to end. */
    const struct vm_life *life = &instance->record.life;
    bool ends = life->state == VM_STOPPING || (life->state == VM_RESTORING && life->rung == VM_RUNG_KILL);
    if (ends && launch_is_ahead(instance)) {
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_LAUNCH_FAILED});
        return;
    }
    if (actions & VM_DO_DISARM)
        stop_disarm(instance);
    if (actions & VM_DO_CLEAN)
        clean_up(instance);
    if (actions & VM_DO_DISTRUST_KVM)
        accel_distrust(instance->host);
    if (actions & VM_DO_UNDO)
        creation_undo(instance, event->kind, event->reason);
    if (creation_is_spent(instance))
        creation_throw_away(instance);
    else if (actions & VM_DO_SAVE)
        store_save(instance);
    if (actions & VM_DO_SAVE_STEP)
        store_save_then(instance, creation_saved);
    store_when_saved(instance, actions);
}

void instance_replace_record(struct instance *instance, struct vm_record *record)
{
    enum vm_state before = instance->record.life.state;
    uint64_t stopped_ms = record->stopped_ms;
    vm_record_done(&instance->record);
    instance->record = *record;
    *record = (struct vm_record){0};
    if (instance->record.life.state != before)
        note_state(instance, before);
    instance->record.stopped_ms = stopped_ms;
}

static unsigned step_life(struct instance *instance, const struct vm_event *event)
{
    enum vm_state before = instance->record.life.state;
    unsigned actions = vm_life_next(&instance->record.life, event);
    if (actions & VM_DO_SAVE)
        store_expect_save(instance);
    if (instance->record.life.state != before) {
        disk_room_forget(instance);
        note_state(instance, before);
    }
    return actions;
}

void instance_feed(struct instance *instance, const struct vm_event *event)
{
    /* A follower may hold the last reference, and the event may end that follower. */
    instance_ref(instance);
    act_on_life(instance, event, step_life(instance, event));
    instance_unref(instance);
}

void instance_feed_because(struct instance *instance, const struct vm_event *event, const char *format, ...)
{
    char reason[VM_REASON_MAX];
    struct vm_event explained = *event;
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    explained.reason = reason;
    instance_feed(instance, &explained);
}

int instance_refuse(const struct instance *instance, struct pi_error *err)
{
    const char *name = instance->record.spec.name;
    enum vm_state state = instance->record.life.state;
    switch (state) {
    case VM_STOPPING:
        return pi_refuse(err, PI_CONFLICT,
                         "%s is still stopping: first wait for its end with: piagent wait --for stopped %s",
                         name, name);
    case VM_PAUSED:
    case VM_SUSPENDED:
        return pi_refuse(err, PI_CONFLICT, "%s is %s: piagent resume %s lets it go on", name,
                         vm_state_names[state], name);
    case VM_SAVING:
        return pi_refuse(err, PI_CONFLICT, "%s is being saved: wait until it is saved", name);
    case VM_SAVED:
        if (instance->record.spec.template)
            return template_check_request(instance, VM_EVENT_START, err);
        return pi_refuse(err, PI_CONFLICT, "%s is saved: piagent start %s lets it go on", name, name);
    case VM_RESTORING:
        return pi_refuse(err, PI_CONFLICT, "%s is being restored: try again in a moment", name);
    default:
        return pi_refuse(err, PI_CONFLICT, "%s is %s", name, vm_state_names[state]);
    }
}

/* What must hold before the life hears of the request. */
static int check_request(struct instance *instance, enum vm_event_type type, struct pi_error *err)
{
    bool starts = type == VM_EVENT_START || type == VM_EVENT_START_COLD;
    int r = template_check_request(instance, type, err);
    if (r == 0 && starts && !vm_state_is_live(instance->record.life.state) &&
        (r = clone_request_refuse_source(instance, err)) == 0)
        r = files_check(instance, err);
    if (r == 0 && (starts || type == VM_EVENT_SAVE))
        r = snapshot_refuse_busy(instance, err);
    if (r == 0 && type == VM_EVENT_START && instance->record.life.state == VM_SAVED)
        r = state_load_check(instance, err);
    if (r == 0 && type == VM_EVENT_SAVE)
        r = creation_refuse_ephemeral(instance, "suspended", err);
    if (r == 0 && type == VM_EVENT_SAVE && instance_runs(instance))
        r = state_save_check(instance, err);
    return r;
}

int instance_request(struct instance *instance, enum vm_event_type type, struct pi_error *err)
{
    int r = check_request(instance, type, err);
    if (r < 0)
        return r;
    const struct vm_event event = {.type = type};
    unsigned actions = step_life(instance, &event);
    if (actions & VM_DO_REFUSE)
        return instance_refuse(instance, err);
    instance_ref(instance);
    act_on_life(instance, &event, actions);
    instance_unref(instance);
    return actions & VM_DO_NOTHING ? 1 : 0;
}
