/* SPDX-License-Identifier: MIT */
#include "agent/instance/monitor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/scope.h"
#include "agent/base/text.h"
#include "agent/instance/instance.h"
#include "agent/instance/qemu_sockets.h"
#include "agent/loop/backoff.h"
#include "agent/loop/loop.h"
#include "agent/loop/qmp_link.h"

#define LINK_DELAY_MIN_MS 1000
#define LINK_DELAY_MAX_MS 60000
#define CONTS_MAX         10 /* while the guest is to go on; then it is shown as paused */

/* Requests that came in the middle of a handshake. */

struct waiting_call {
    struct api_call *call;
    void (*fn)(struct instance *instance, struct api_call *call);
    STAILQ_ENTRY(waiting_call) entry;
};

bool monitor_await(struct instance *instance, struct api_call *call,
                   void (*fn)(struct instance *instance, struct api_call *call))
{
    struct waiting_call *waiting =
        instance->monitor.link && instance->monitor.adopting ? malloc(sizeof *waiting) : NULL;
    if (!waiting)
        return false;
    *waiting = (struct waiting_call){.call = call, .fn = fn};
    STAILQ_INSERT_TAIL(&instance->monitor.waiting, waiting, entry);
    return true;
}

static void serve_waiting(struct instance *instance)
{
    struct waiting_call *waiting;
    while ((waiting = STAILQ_FIRST(&instance->monitor.waiting))) {
        STAILQ_REMOVE_HEAD(&instance->monitor.waiting, entry);
        waiting->fn(instance, waiting->call);
        free(waiting);
    }
}

static void give_up_start(struct instance *instance, const char *why)
{
    if (scope_is_pending((pid_t)instance->record.pid))
        why = "systemd did not make a scope for QEMU in time: look at systemctl --user status";
    instance_feed_because(instance, &(struct vm_event){.type = VM_EVENT_UNUSABLE}, "QEMU did not start: %s",
                          why);
}

void monitor_lose(struct instance *instance, int reason, const char *why)
{
    pi_text_clean(why, strlen(why), instance->monitor.why, sizeof instance->monitor.why);
    qmp_link_close(pi_steal(instance->monitor.link));
    instance->monitor.unwatched = true;
    if (vm_life_is_starting(&instance->record.life) && reason != -ECONNRESET) {
        give_up_start(instance, instance->monitor.why);
        return;
    }
    instance->monitor.delay_ms = backoff_next_ms(instance->monitor.delay_ms, instance->monitor.since_ms,
                                                 pi_monotonic_ms(), LINK_DELAY_MIN_MS, LINK_DELAY_MAX_MS);
    timer_set(instance->monitor.timer, instance->monitor.delay_ms);
}

bool monitor_is_usable(const struct instance *instance)
{
    return instance->monitor.link && !instance->monitor.adopting;
}

bool monitor_is_connected(const struct instance *instance)
{
    return instance->monitor.link;
}

const char *monitor_trouble(const struct instance *instance)
{
    return instance->monitor.why;
}

void monitor_adopt(struct instance *instance)
{
    instance->monitor.adopting = instance->monitor.unwatched = true;
}

bool monitor_is_adopting(const struct instance *instance)
{
    return instance->monitor.adopting;
}

void monitor_watch_boot(struct instance *instance)
{
    instance->monitor.unwatched = false;
}

bool monitor_may_have_missed_reset(const struct instance *instance)
{
    return instance->monitor.unwatched;
}

int monitor_execute(struct instance *instance, enum qmp_command command, qmp_reply_fn reply, void *user)
{
    return monitor_execute_with(instance, command, NULL, -1, reply, user);
}

int monitor_execute_with(struct instance *instance, enum qmp_command command, json_t *arguments, int fd,
                         qmp_reply_fn reply, void *user)
{
    struct qmp_link *link = instance->monitor.link;
    if (link)
        return qmp_link_execute_with(link, command, arguments, fd, MONITOR_ANSWER_MS, reply, user);
    json_decref(arguments);
    return -ENOTCONN;
}

/* The answer to a command of the state function. If QEMU stays silent, that is told once, and the next rung
 * of a stop deals with it. */
static void on_command_answer(int result, const json_t *data, const char *why, void *user)
{
    struct instance *instance = user;
    (void)data;
    if (result == -EREMOTEIO)
        journal_note(instance, "QEMU refused what it was asked: %s", why);
    if (result == -ETIMEDOUT && !instance->monitor.why[0]) {
        journal_note(instance, "%s", why);
        snprintf(instance->monitor.why, sizeof instance->monitor.why, "%s", why);
    } else if (result == 0 || result == -EREMOTEIO) {
        instance->monitor.why[0] = '\0';
    }
}

bool monitor_command(struct instance *instance, enum qmp_command command)
{
    return monitor_is_usable(instance) &&
           monitor_execute(instance, command, on_command_answer, instance) == 0;
}

static void send_cont(struct instance *instance);

static bool is_cont_due(struct instance *instance)
{
    enum vm_state state = instance->record.life.state;
    return state == VM_PAUSED || (state == VM_RESTORING && ++instance->monitor.conts < CONTS_MAX);
}

static void cont_failed(struct instance *instance, int result, const char *why)
{
    instance_feed_because(instance, &(struct vm_event){.type = VM_EVENT_STOPPED},
                          "QEMU did not let its guest go on: %s", why);
    if (result == -ETIMEDOUT)
        send_cont(instance);
    else
        identity_give_up(instance, why);
}

static void on_cont(int result, const json_t *data, const char *why, void *user)
{
    struct instance *instance = user;
    (void)data;
    if (result == 0)
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_CONTINUED});
    else if (result != -ECONNRESET && vm_life_is_starting(&instance->record.life))
        give_up_start(instance, why);
    else if (result == -ETIMEDOUT && is_cont_due(instance))
        send_cont(instance);
    else if (result != -ECONNRESET && instance->record.life.state == VM_RESTORING)
        cont_failed(instance, result, why);
    else if (result != -ECONNRESET)
        journal_note(instance, "QEMU did not let its guest go on: %s", why);
}

/* A QEMU that was silent is asked again, so that its guest goes on when it answers. */
static void send_cont(struct instance *instance)
{
    uint64_t timeout_ms =
        instance->record.life.state == VM_RESTORING ? MONITOR_ANSWER_MS / CONTS_MAX : MONITOR_ANSWER_MS;
    if (monitor_is_usable(instance))
        qmp_link_execute(instance->monitor.link, QMP_CONT, timeout_ms, on_cont, instance);
}

void monitor_ask_cont(struct instance *instance)
{
    if (!monitor_is_usable(instance))
        return;
    /* A save that was given up must not end: QEMU would stop the guest then. The file of a state that was saved or loaded takes
     * room as long as QEMU has it open. */
    if (instance->record.life.state == VM_RESTORING) {
        monitor_execute(instance, QMP_MIGRATE_CANCEL, NULL, NULL);
        monitor_execute_with(instance, QMP_REMOVE_FD, saved_step_fdset(instance), -1, NULL, NULL);
    }
    instance->monitor.conts = 0;
    send_cont(instance);
}

static void on_reconnect(void *user)
{
    struct instance *instance = user;
    struct monitor *monitor = &instance->monitor;
    struct pi_error err;
    if (vm_life_is_starting(&instance->record.life)) /* QEMU closed its monitor, and has not ended since */
        give_up_start(instance, monitor->why);
    if (instance->record.life.state == VM_STARTING || vm_life_is_starting(&instance->record.life))
        return;
    if (!monitor->loss_told)
        journal_note(instance, "QEMU's monitor is lost: %s; connecting anew", monitor->why);
    monitor->loss_told = true;
    monitor_adopt(instance);
    if (launch_connect(instance, &err) < 0)
        monitor_lose(instance, -ECONNREFUSED, err.text);
}

int monitor_init(struct instance *instance)
{
    struct monitor *monitor = &instance->monitor;
    STAILQ_INIT(&monitor->waiting);
    monitor->timer = timer_new(instance->host->loop, on_reconnect, instance);
    return monitor->timer ? disk_room_init(instance) : -ENOMEM;
}

void monitor_reset(struct instance *instance)
{
    struct monitor *monitor = &instance->monitor;
    timer_clear(monitor->timer);
    disk_room_forget(instance);
    monitor->why[0] = '\0'; /* before the requests that wait are answered */
    qmp_link_close(pi_steal(monitor->link));
    monitor->loss_told = monitor->adopting = monitor->unwatched = false;
    monitor->since_ms = monitor->delay_ms = 0;
}

void monitor_done(struct instance *instance)
{
    timer_free(instance->monitor.timer);
    disk_room_done(instance);
}

/* The last step of the handshake with a QEMU that ran before: its state now. */
static void on_adopted_status(int result, const json_t *data, const char *why, void *user)
{
    struct instance *instance = user;
    struct qmp_status status;
    bool returns = instance->monitor.loss_told;
    if (result == -ECONNRESET)
        return;
    if (result < 0 || qmp_status_decode(data, &status) < 0) {
        monitor_lose(instance, -EPROTO, result < 0 ? why : "it does not tell QEMU's state");
        return;
    }
    instance->monitor.adopting = instance->monitor.loss_told = false;
    instance->monitor.why[0] = '\0';
    if (returns)
        journal_note(instance, "QEMU's monitor is back: QEMU is %s", status.name);
    else
        journal_note(instance, "taken over: its QEMU (process %u) is %s", (unsigned)instance->record.pid,
                     status.name);
    /* QEMU names a reason for the stop: it becomes the reason of the pause. */
    bool stands = !status.running && status.state != QMP_RUN_PRELAUNCH && status.state != QMP_RUN_PAUSED;
    bool starts = instance->record.life.state == VM_STARTING,
         stops = instance->record.life.state == VM_STOPPING,
         saves = vm_state_is_saved(instance->record.life.state);
    /* The power button of a guest that is off needs no press any more. A guest that stands still has run,
     * even if no agent saw it start. */
    if (status.state != QMP_RUN_SHUTDOWN && (!stands || starts || stops || saves))
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_ADOPTED,
                                                   .running = status.running || (stands && starts)});
    identity_tell(instance);
    identity_adopted(instance);
    if (stands && (!saves || status.state == QMP_RUN_SHUTDOWN))
        qemu_events_stopped(instance, &status);
    serve_waiting(instance);
}

static void on_uuid(int result, const json_t *data, const char *why, void *user)
{
    struct instance *instance = user;
    struct qmp_uuid uuid;
    if (result == -ECONNRESET)
        return;
    network_watch(instance); /* QEMU answers, so its child is there by now */
    /* The process is the one that was started here. If it says that it is another instance, it is not
     * trusted, and can only be ended. */
    if (result < 0)
        monitor_lose(instance, result, why);
    else if (qmp_uuid_decode(data, &uuid) < 0 || strcmp(uuid.text, instance->record.spec.uuid) != 0)
        monitor_lose(instance, -EPROTO, "it answers for another instance");
    else if (instance->monitor.adopting)
        monitor_execute(instance, QMP_QUERY_STATUS, on_adopted_status, instance);
    else
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_LAUNCHED});
}

static void on_link_ready(void *user)
{
    struct instance *instance = user;
    monitor_execute(instance, QMP_QUERY_UUID, on_uuid, instance);
}

static void on_link_closed(int reason, const char *why, void *user)
{
    struct instance *instance = user;
    if (instance->monitor.link) /* else it was given up here */
        monitor_lose(instance, reason, why);
    serve_waiting(instance);
}

static void on_link_event(const struct qmp_event *event, void *user)
{
    qemu_events_receive(user, event);
}

int monitor_connect(struct instance *instance, struct pi_error *err)
{
    static const struct qmp_handler handler = {
        .ready = on_link_ready, .event = on_link_event, .closed = on_link_closed};
    struct qemu_socket_place place;
    if (instance->monitor.link)
        return 0;
    instance->monitor.since_ms = pi_monotonic_ms();
    qemu_sockets_find(instance, QEMU_SOCKET_QMP, &place);
    return qmp_link_new(instance->host->loop, place.folder, place.name, MONITOR_ANSWER_MS, &handler, instance,
                        &instance->monitor.link, err);
}
