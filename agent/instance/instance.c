/* SPDX-License-Identifier: MIT */
/* An instance's life: events in, through the state function, actions out. */
#include "agent/instance/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/fs.h"
#include "agent/instance/accel.h"
#include "agent/loop/log.h"

#define LAUNCH_RETRY_MS 50

static void on_resend(void *user)
{
    instance_feed(user, &(struct vm_event){.type = VM_EVENT_RESEND});
}

static uint64_t rung_ms(const struct vm_record *record)
{
    if (record->life.rung == VM_RUNG_POWERDOWN)
        return record->powerdown_ms ? record->powerdown_ms : INSTANCE_POWERDOWN_MS;
    return record->step_ms ? record->step_ms : INSTANCE_STEP_MS;
}

static void rung_expired(struct instance *instance)
{
    enum vm_rung rung = instance->record.life.rung;
    char took[32];
    if (rung < VM_RUNG_KILL)
        journal_note(instance, "%s did not end it within %s: next is %s", vm_rung_names[rung],
                     pi_duration_format(rung_ms(&instance->record), took), vm_rung_names[rung + 1]);
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_RUNG_EXPIRED});
}

/* A guest is slow, not dead, while it prints and reports: unless a time was asked for, the powerdown's counts
 * from its last sign of life. */
static void on_rung(void *user)
{
    struct instance *instance = user;
    uint64_t now = pi_monotonic_ms();
    if (instance->record.life.rung == VM_RUNG_POWERDOWN && !instance->record.powerdown_ms) {
        uint64_t quiet = now - instance->last_sign_ms, asked = now - instance->powerdown_since_ms;
        if (quiet < INSTANCE_POWERDOWN_MS && asked < INSTANCE_POWERDOWN_CAP_MS) {
            timer_set(instance->rung_timer, INSTANCE_POWERDOWN_MS - quiet);
            return;
        }
    }
    rung_expired(instance);
}

bool instance_may_fall_back(const struct instance *instance)
{
    return instance->record.spec.accel == VM_ACCEL_AUTO && instance->record.accel == VM_ACCEL_KVM;
}

static void on_no_sign(void *user)
{
    struct instance *instance = user;
    if (!instance->sign_seen && instance_may_fall_back(instance)) {
        journal_note(instance,
                     "the guest shows no sign of life under KVM after %d s: starting it afresh under TCG",
                     INSTANCE_SIGN_MS / 1000);
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_NO_SIGN, .fallback = true});
    }
}

static void launch_failed(struct instance *instance, const struct pi_error *why)
{
    /* A process may hang in the kernel and outlive SIGKILL: its end is waited for as any QEMU's is. */
    if (instance->exit_watch) {
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_UNUSABLE, .reason = why->text});
        return;
    }
    if (instance->pidfd >= 0) /* there was no memory to wait for its end */
        pi_signal(instance->pidfd, SIGKILL);
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_LAUNCH_FAILED, .reason = why->text});
}

/* No QEMU without a record of it: an agent that ends before leaves nothing that the next one does not know. A
 * stop may have come meanwhile. */
static void on_recorded(struct instance *instance, int result, const struct pi_error *why)
{
    struct pi_error err = {0};
    if (result < 0)
        launch_failed(instance, why);
    else if (instance->record.life.state != VM_STARTING || instance_run_child(instance, &err) < 0)
        launch_failed(instance, &err);
}

static void launch(struct instance *instance)
{
    struct pi_error err;
    if (instance_network_lingers(instance))
        timer_set(instance->launch_timer, LAUNCH_RETRY_MS);
    else if (instance_launch(instance, &err) < 0)
        launch_failed(instance, &err);
    else
        instance_save_then(instance, on_recorded);
}

static void on_launch(void *user)
{
    launch(user);
}

/* Whether the start has not come as far as a process. */
static bool is_launch_ahead(const struct instance *instance)
{
    return (instance->store.due & VM_DO_LAUNCH) || timer_is_set(instance->launch_timer);
}

static int open_folder(struct instance *instance, const char *name, struct pi_error *err)
{
    instance->dir_fd =
        openat(instance->host->folder_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    int r = instance->dir_fd < 0 ? pi_fail(err, errno, "%s", instance->folder) : 0;
    int logs = journal_open(instance, r < 0 ? NULL : err);
    return r < 0 ? r : logs;
}

int instance_new(struct instance_host *host, struct vm_record *record, struct instance **ret,
                 struct pi_error *err)
{
    struct instance *instance = calloc(1, sizeof *instance);
    if (!instance)
        return pi_fail(err, ENOMEM, "instance");
    *instance = (struct instance){.host = host,
                                  .refs = 1,
                                  .dir_fd = -1,
                                  .child = PI_CHILD_NONE,
                                  .pidfd = -1,
                                  .network_pidfd = -1,
                                  .look_fd = -1,
                                  .journal = LOGFILE_NONE,
                                  .console_log = LOGFILE_NONE};
    STAILQ_INIT(&instance->waiting);
    STAILQ_INIT(&instance->store.answers);
    instance->resend_timer = timer_new(host->loop, on_resend, instance);
    instance->rung_timer = timer_new(host->loop, on_rung, instance);
    instance->sign_timer = timer_new(host->loop, on_no_sign, instance);
    instance->link_timer = timer_new(host->loop, instance_reconnect, instance);
    instance->room_timer = timer_new(host->loop, instance_look_for_room, instance);
    instance->network_timer = timer_new(host->loop, instance_network_alone, instance);
    instance->launch_timer = timer_new(host->loop, on_launch, instance);
    int r = instance->resend_timer && instance->rung_timer && instance->sign_timer && instance->link_timer &&
                    instance->room_timer && instance->network_timer && instance->launch_timer &&
                    asprintf(&instance->folder, "%s/%s", host->folder, record->spec.name) > 0
                ? 0
                : pi_fail(err, ENOMEM, "instance");
    if (r == 0 && (r = open_folder(instance, record->spec.name, err)) < 0 &&
        record->life.state != VM_CREATED) {
        /* A machine that is there already is worth more than its logs, and shown also where it is lost. */
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
    instance_let_go(instance);
    timer_free(instance->resend_timer);
    timer_free(instance->rung_timer);
    timer_free(instance->sign_timer);
    timer_free(instance->link_timer);
    timer_free(instance->room_timer);
    timer_free(instance->network_timer);
    timer_free(instance->launch_timer);
    timer_free(instance->clock_timer);
    timer_free(instance->trouble_timer);
    timer_free(instance->silence_timer);
    timer_free(instance->ghost_timer);
    timer_free(instance->save_timer);
    pi_buf_done(&instance->journal_tail);
    pi_buf_done(&instance->store.user_data);
    logfile_close(&instance->journal);
    logfile_close(&instance->console_log);
    pi_close_p(&instance->dir_fd);
    api_done(event, &instance->image);
    api_done(create, &instance->request);
    vm_record_done(&instance->record);
    free(instance->folder);
    free(instance);
}

void instance_let_go(struct instance *instance)
{
    struct timer *const timers[] = {instance->resend_timer, instance->rung_timer,    instance->sign_timer,
                                    instance->link_timer,   instance->room_timer,    instance->clock_timer,
                                    instance->launch_timer, instance->network_timer, instance->trouble_timer};
    for (size_t i = 0; i < PI_ARRAY_SIZE(timers); i++)
        if (timers[i]) /* there may have been no memory for it */
            timer_clear(timers[i]);
    silence_stop(instance);
    instance->monitor_why[0] = '\0';
    instance->monitor_told = instance->console_told = instance->signal_told = false;
    qmp_link_close(pi_steal(instance->qmp));
    channel_free(pi_steal(instance->console));
    channel_free(pi_steal(instance->guest_agent));
    instance->guest_clock.step = GUEST_CLOCK_NONE;
    instance->clock_off_ms = 0;
    instance_leave_network(instance);
    watch_free(pi_steal(instance->exit_watch));
    pi_child_drop(&instance->child);
    pi_close_p(&instance->pidfd);
    instance->pidfd = -1;
    worker_cancel(pi_steal(instance->worker), &instance->host->ending_workers);
}

void instance_detach(struct instance *instance)
{
    LIST_REMOVE(instance, entry);
    instance->detached = true;
    instance_refuse_waiting(instance, NULL);
    instance_let_go(instance);
    timer_free(pi_steal(instance->save_timer));
    host_end(instance->host, &instance->journal);
    host_end(instance->host, &instance->console_log);
    instance_unref(instance);
}

void instance_sign(struct instance *instance)
{
    instance->last_sign_ms = pi_monotonic_ms();
    instance->signed_ms = pi_realtime_ms();
    instance->sign_seen = true;
    timer_clear(instance->sign_timer);
}

/* QMP's answers to what the state function sent: the ladder's next rung deals with silence, which is told
 * once. */
static void on_answer(int result, const json_t *data, const char *why, void *user)
{
    struct instance *instance = user;
    (void)data;
    if (result == -EREMOTEIO)
        journal_note(instance, "QEMU refused what it was asked: %s", why);
    if (result == -ETIMEDOUT && !instance->monitor_why[0]) {
        journal_note(instance, "%s", why);
        snprintf(instance->monitor_why, sizeof instance->monitor_why, "%s", why);
    } else if (result == 0 || result == -EREMOTEIO) {
        instance->monitor_why[0] = '\0';
    }
}

static bool command(struct instance *instance, enum qmp_command which)
{
    return instance->qmp && !instance->adopting &&
           qmp_link_execute(instance->qmp, which, INSTANCE_QMP_MS, on_answer, instance) == 0;
}

static void press_power_button(struct instance *instance)
{
    if (!command(instance, QMP_SYSTEM_POWERDOWN))
        return;
    /* A guest that slept may have lost its ACPI registers (seen with QEMU 7.2, q35 and SeaBIOS 1.16): then it
     * hears no button, and cannot switch itself off. Its guest agent, if it has one, brings it down in order;
     * quit ends QEMU after that. */
    if (instance->slept && instance->guest_agent)
        channel_type(instance->guest_agent, GUEST_AGENT_POWERDOWN, sizeof GUEST_AGENT_POWERDOWN - 1);
    instance->powerdowns_sent++;
    /* Each press would be a line of its own; the first is news, then one every half a minute. */
    if (instance->powerdowns_sent == 1)
        journal_note(instance, "the guest was asked to power off");
    else if (instance->powerdowns_sent % 10 == 1)
        journal_note(instance, "the guest does not power off yet: asked %u times", instance->powerdowns_sent);
}

static void signal_qemu(struct instance *instance, int signal)
{
    int r = instance->pidfd < 0 ? instance->pidfd : pi_signal(instance->pidfd, signal);
    if (r == 0) {
        journal_note(instance, "%s sent to QEMU", signal == SIGTERM ? "SIGTERM" : "SIGKILL");
    } else if (!instance->signal_told) { /* the last rung is stood on for as long as it runs */
        journal_note(
            instance,
            "QEMU (process %u) cannot be signalled: %s; an agent that starts anew tries again: piagent "
            "agent stop",
            (unsigned)instance->record.pid, strerror(-r));
        instance->signal_told = true;
    }
}

/* QEMU has ended: what it left is read, and all that belonged to it is given back. */
static void clean_up(struct instance *instance)
{
    instance_forget_plans(instance);
    if (instance->console)
        channel_drain(instance->console);
    instance_let_go(instance);
    instance_clean_sockets(instance);
    instance_withdraw_seed(instance);
    instance->record.pid = instance->record.start_ticks = 0;
}

/* A monitor that comes back in the middle of a rung gives it no more time: one that breaks off again and
 * again would be waited for without end. */
static void arm_rung(struct instance *instance)
{
    enum vm_rung rung = instance->record.life.rung;
    if (timer_is_set(instance->rung_timer) && instance->armed_rung == rung)
        return;
    if (rung == VM_RUNG_POWERDOWN)
        instance->powerdown_since_ms = instance->last_sign_ms = pi_monotonic_ms();
    if (rung <= VM_RUNG_QUIT && !instance->qmp)
        journal_note(instance, "QEMU's monitor is not there now: %s waits for it", vm_rung_names[rung]);
    instance->armed_rung = rung;
    timer_set(instance->rung_timer, rung_ms(&instance->record));
}

static void note_state(struct instance *instance, enum vm_state before)
{
    struct vm_record *record = &instance->record;
    uint64_t now = pi_realtime_ms();
    if (record->life.state == VM_STARTING)
        record->started_ms = record->boot_ms = now, record->ready_ms = record->stopped_ms = 0,
        record->step_ms = 0;
    else if (record->life.state == VM_READY && (!record->ready_ms || !vm_state_stands_still(before)))
        record->ready_ms = now;
    else if (!vm_state_is_live(record->life.state))
        record->stopped_ms = now;
    journal_add(instance, &(struct api_event){.kind = API_EVENT_STATE,
                                              .state = (char *)vm_state_names[record->life.state],
                                              .text = record->life.reason[0] ? record->life.reason : NULL});
    if (before == VM_STARTING && record->life.state == VM_RUNNING && !instance->boot_told)
        instance_tell_boot(instance, "started");
    log_line("%s: %s%s%s", record->spec.name, vm_state_names[record->life.state],
             record->life.reason[0] ? ": " : "", record->life.reason);
    host_state(instance->host);
    instance_note_pause(instance, vm_state_stands_still(before));
}

void instance_carry_out(struct instance *instance, unsigned actions)
{
    if (actions & VM_DO_CONT)
        instance_ask_cont(instance);
    if (actions & VM_DO_RESET)
        command(instance, QMP_SYSTEM_RESET);
    if (actions & VM_DO_WAKE)
        command(instance, QMP_SYSTEM_WAKEUP);
    if (actions & VM_DO_POWERDOWN)
        press_power_button(instance);
    if (actions & VM_DO_QUIT)
        command(instance, QMP_QUIT);
    if (actions & VM_DO_TERM)
        signal_qemu(instance, SIGTERM);
    if (actions & VM_DO_KILL)
        signal_qemu(instance, SIGKILL);
    if (actions & VM_DO_ARM_RESEND)
        timer_set(instance->resend_timer, INSTANCE_RESEND_MS);
    if (actions & VM_DO_ARM_RUNG)
        arm_rung(instance);
    if ((actions & VM_DO_WATCH_SIGN) && instance->record.accel == VM_ACCEL_KVM)
        timer_set(instance->sign_timer, INSTANCE_SIGN_MS);
    if (actions & VM_DO_LAUNCH)
        launch(instance);
    creation_carry_out(instance, actions);
}

/* The order matters: what ended is cleaned up before anything new starts, and the record is on disk before
 * QEMU, or anything that is sent to it. */
static void act(struct instance *instance, const struct vm_event *event, unsigned actions)
{
    /* Told to stop, and there is nothing yet that would have to be ended. */
    if (instance->record.life.state == VM_STOPPING && is_launch_ahead(instance)) {
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_LAUNCH_FAILED});
        return;
    }
    if (actions & VM_DO_DISARM) {
        timer_clear(instance->resend_timer);
        timer_clear(instance->rung_timer);
    }
    if (actions & VM_DO_CLEAN)
        clean_up(instance);
    if (actions & VM_DO_DISTRUST_KVM)
        accel_distrust(instance->host);
    if (actions & VM_DO_UNDO)
        creation_undo(instance, event->kind, event->reason);
    if (actions & VM_DO_SAVE)
        instance_save(instance);
    if (actions & VM_DO_SAVE_STEP)
        instance_save_then(instance, creation_saved);
    instance_when_saved(instance, actions);
}

static unsigned step(struct instance *instance, const struct vm_event *event)
{
    enum vm_state before = instance->record.life.state;
    unsigned actions = vm_life_next(&instance->record.life, event);
    if (actions & VM_DO_SAVE)
        instance_expect_save(instance);
    if (instance->record.life.state != before) {
        timer_clear(instance->room_timer);
        note_state(instance, before);
    }
    return actions;
}

void instance_feed(struct instance *instance, const struct vm_event *event)
{
    /* Its followers may be the last to hold it, and what comes of the event may end them. */
    instance_ref(instance);
    act(instance, event, step(instance, event));
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

static int refuse_request(const struct instance *instance, struct pi_error *err)
{
    const char *name = instance->record.spec.name;
    enum vm_state state = instance->record.life.state;
    if (state == VM_STOPPING)
        return pi_refuse(err, PI_CONFLICT,
                         "%s is still stopping: first wait for its end with: piagent wait --for stopped %s",
                         name, name);
    return vm_state_stands_still(state)
               ? pi_refuse(err, PI_CONFLICT, "%s is %s: piagent resume %s lets it go on", name,
                           vm_state_names[state], name)
               : pi_refuse(err, PI_CONFLICT, "%s is %s", name, vm_state_names[state]);
}

int instance_request(struct instance *instance, enum vm_event_type type, struct pi_error *err)
{
    bool starts = type == VM_EVENT_START && !vm_state_is_live(instance->record.life.state);
    int r = starts ? instance_check_files(instance, err) : 0;
    if (r < 0)
        return r;
    const struct vm_event event = {.type = type};
    unsigned actions = step(instance, &event);
    if (actions & VM_DO_REFUSE)
        return refuse_request(instance, err);
    instance_ref(instance);
    act(instance, &event, actions);
    instance_unref(instance);
    return actions & VM_DO_NOTHING ? 1 : 0;
}
