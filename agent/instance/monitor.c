/* SPDX-License-Identifier: MIT */
/* What QEMU says over QMP: the handshake that proves whose QEMU it is, and the events that move the
 * instance's life. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/instance/instance.h"
#include "agent/instance/scope.h"

#define LINK_DELAY_MIN_MS 1000
#define LINK_DELAY_MAX_MS 60000
#define ROOM_DELAY_MIN_MS 2000
#define ROOM_DELAY_MAX_MS 60000
#define ROOM_BYTES        ((uint64_t)64 << 20) /* or a 64th of the file system, where that is less */
#define DISK_NOTE_MS      10000
/* What an event costs: those that are written down, and those that are passed over. A guest that reboots in a
 * loop, or whose disk fails, stays below. */
#define EVENTS_BURST      2000u
#define EVENTS_PER_SECOND 50u
#define EVENT_PRICE       10u
#define ONE_RESET_MS      1000

/* Requests that come in the middle of a handshake. */

struct waiting_call {
    struct api_call *call;
    void (*fn)(struct instance *instance, struct api_call *call);
    STAILQ_ENTRY(waiting_call) entry;
};

bool instance_await_monitor(struct instance *instance, struct api_call *call,
                            void (*fn)(struct instance *instance, struct api_call *call))
{
    struct waiting_call *waiting = instance->qmp && instance->adopting ? malloc(sizeof *waiting) : NULL;
    if (!waiting)
        return false;
    *waiting = (struct waiting_call){.call = call, .fn = fn};
    STAILQ_INSERT_TAIL(&instance->waiting, waiting, entry);
    return true;
}

static void serve_waiting(struct instance *instance)
{
    struct waiting_call *waiting;
    while ((waiting = STAILQ_FIRST(&instance->waiting))) {
        STAILQ_REMOVE_HEAD(&instance->waiting, entry);
        waiting->fn(instance, waiting->call);
        free(waiting);
    }
}

/* The end of waiting for the monitor, one way or the other. */

static bool is_starting(const struct instance *instance)
{
    return instance->record.life.state == VM_STARTING && instance->record.life.rung == VM_RUNG_NONE;
}

static void give_up_start(struct instance *instance, const char *why)
{
    if (scope_is_pending((pid_t)instance->record.pid))
        why = "systemd has not put it into a scope in time; systemctl --user status tells how that is";
    instance_feed_because(instance, &(struct vm_event){.type = VM_EVENT_UNUSABLE}, "QEMU did not start: %s",
                          why);
}

/* Twice the last delay, unless what was tried then worked for a while. */
static uint64_t next_delay_ms(uint64_t last_ms, uint64_t tried_ms, uint64_t min_ms, uint64_t max_ms)
{
    if (!last_ms || pi_monotonic_ms() - tried_ms > max_ms)
        return min_ms;
    return 2 * last_ms < max_ms ? 2 * last_ms : max_ms;
}

void instance_lose_monitor(struct instance *instance, int reason, const char *why)
{
    pi_text_clean(why, strlen(why), instance->monitor_why, sizeof instance->monitor_why);
    qmp_link_close(pi_steal(instance->qmp));
    instance->unwatched = true;
    if (is_starting(instance) && reason != -ECONNRESET) {
        give_up_start(instance, instance->monitor_why);
        return;
    }
    instance->link_delay_ms =
        next_delay_ms(instance->link_delay_ms, instance->link_since_ms, LINK_DELAY_MIN_MS, LINK_DELAY_MAX_MS);
    timer_set(instance->link_timer, instance->link_delay_ms);
}

bool instance_has_monitor(const struct instance *instance)
{
    return instance->qmp && !instance->adopting;
}

void instance_reconnect(void *user)
{
    struct instance *instance = user;
    struct pi_error err;
    if (instance->qmp) {
        instance_connect_console(instance);
        return;
    }
    if (is_starting(instance)) /* it closed its monitor, and has not ended since */
        give_up_start(instance, instance->monitor_why);
    if (instance->record.life.state == VM_STARTING)
        return;
    if (!instance->monitor_told)
        journal_note(instance, "QEMU's monitor is lost: %s; connecting anew", instance->monitor_why);
    instance->monitor_told = instance->adopting = true;
    if (instance_connect(instance, &err) < 0)
        instance_lose_monitor(instance, -ECONNREFUSED, err.text);
}

static void on_cont(int result, const json_t *data, const char *why, void *user)
{
    struct instance *instance = user;
    (void)data;
    if (result == 0)
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_CONTINUED});
    else if (result != -ECONNRESET && is_starting(instance))
        give_up_start(instance, why);
    else if (result != -ECONNRESET)
        journal_note(instance, "QEMU did not let its guest go on: %s", why);
}

void instance_ask_cont(struct instance *instance)
{
    if (instance_has_monitor(instance))
        qmp_link_execute(instance->qmp, QMP_CONT, INSTANCE_QMP_MS, on_cont, instance);
}

/* A full disk: QEMU holds the guest, and its failed writes, until it is told to go on. */

static bool has_room(const struct instance *instance)
{
    struct statvfs fs;
    if (fstatvfs(instance->dir_fd, &fs) < 0)
        return false;
    uint64_t enough = (uint64_t)fs.f_blocks * fs.f_frsize / 64;
    return (uint64_t)fs.f_bavail * fs.f_frsize >= (enough < ROOM_BYTES ? enough : ROOM_BYTES);
}

void instance_look_for_room(void *user)
{
    struct instance *instance = user;
    if (instance_has_monitor(instance) && has_room(instance)) {
        journal_note(instance, "there is room on the host's disk again: it goes on");
        instance->room_tried_ms = pi_monotonic_ms();
        instance_ask_cont(instance);
    }
    timer_set(instance->room_timer, instance->room_delay_ms);
}

static void stopped_by_full_disk(struct instance *instance)
{
    if (instance->record.life.state == VM_STOPPING) {
        journal_note(instance, "the guest cannot go on and power off: the host's disk is full");
        return;
    }
    instance_feed_because(instance, &(struct vm_event){.type = VM_EVENT_STOPPED},
                          "the host's disk is full: it goes on by itself when there is room again in %s",
                          instance->folder);
    if (instance->record.life.state != VM_PAUSED)
        return;
    instance->room_delay_ms =
        next_delay_ms(instance->room_delay_ms, instance->room_tried_ms, ROOM_DELAY_MIN_MS, ROOM_DELAY_MAX_MS);
    timer_set(instance->room_timer, instance->room_delay_ms);
}

static void stopped_by_accelerator(struct instance *instance)
{
    const char *name = instance->record.spec.name, *accel = vm_accel_names[instance->record.accel];
    const struct vm_life *life = &instance->record.life;
    bool boots = vm_life_boots(life), fallback = boots && instance_may_fall_back(instance);
    char reason[VM_REASON_MAX] = "";
    if (life->state == VM_STOPPING)
        journal_note(instance, "the guest cannot go on and power off: %s failed (internal-error)", accel);
    else if (fallback)
        journal_note(instance,
                     "KVM cannot run a guest on this host (internal-error): starting it afresh under TCG");
    else if (boots)
        snprintf(reason, sizeof reason, "%s cannot run this guest (internal-error)%s", accel,
                 instance->record.accel == VM_ACCEL_KVM ? ": leave --accel out, or say --accel tcg" : "");
    else
        snprintf(reason, sizeof reason,
                 "%s failed under the guest (internal-error): piagent logs %s shows its last words, "
                 "piagent reset %s and piagent resume %s boot it anew",
                 accel, name, name, name);
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_INTERNAL_ERROR,
                                               .fallback = fallback,
                                               .reason = reason[0] ? reason : NULL});
}

/* The event is news once; stands: its vCPUs were stopped for it. */
static void tell_panic(struct instance *instance, bool stands)
{
    const char *what = vm_trouble_texts[VM_TROUBLE_PANIC], *name = instance->record.spec.name;
    if (!instance_has_panicked(instance))
        journal_add(instance, &(struct api_event){.kind = API_EVENT_PANIC, .text = (char *)what});
    instance_feed_because(instance, &(struct vm_event){.type = stands ? VM_EVENT_STOPPED : VM_EVENT_PANICKED},
                          "%s: piagent logs %s shows its last words, piagent reset %s%s%s boots it anew",
                          what, name, name, stands ? " and then piagent resume " : "", stands ? name : "");
    if (stands)
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_PANICKED});
}

static void stopped_for_a_reason(struct instance *instance, const struct qmp_status *status)
{
    switch (status->state) {
    case QMP_RUN_INTERNAL_ERROR:
        stopped_by_accelerator(instance);
        break;
    case QMP_RUN_SHUTDOWN: /* a QEMU that was told to end does not wait in this state to be asked */
        instance_feed(instance,
                      &(struct vm_event){.type = VM_EVENT_SHUTDOWN, .guest = !instance->record.life.cut_off});
        break;
    case QMP_RUN_IO_ERROR: /* QEMU's default: it stops for a full disk only, and reports other errors */
        stopped_by_full_disk(instance);
        break;
    case QMP_RUN_GUEST_PANICKED:
        tell_panic(instance, true);
        break;
    case QMP_RUN_SUSPENDED:
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_SUSPENDED});
        break;
    case QMP_RUN_PAUSED:
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_STOPPED});
        break;
    case QMP_RUN_RUNNING: /* it goes on already: its RESUME says so */
        break;
    case QMP_RUN_PRELAUNCH: /* after a reset of a guest that stood still */
    case QMP_RUN_WATCHDOG:  /* the guest's watchdog expired: QEMU resets it, unless it is told to pause */
    case QMP_RUN_COLO:      /* the rest: of debuggers and migrations, which piagent has not asked for */
    case QMP_RUN_DEBUG:
    case QMP_RUN_FINISH_MIGRATE:
    case QMP_RUN_INMIGRATE:
    case QMP_RUN_POSTMIGRATE:
    case QMP_RUN_RESTORE_VM:
    case QMP_RUN_SAVE_VM:
    case QMP_RUN_OTHER:
        instance_feed_because(instance, &(struct vm_event){.type = VM_EVENT_STOPPED},
                              "it stands still: QEMU says %s", status->name);
        break;
    }
}

/* STOP says that the vCPUs stopped, not why. */
static void on_stop_status(int result, const json_t *data, const char *why, void *user)
{
    struct qmp_status status;
    (void)why;
    if (result == 0 && qmp_status_decode(data, &status) == 0 && !status.running)
        stopped_for_a_reason(user, &status);
}

/* QEMU reads and writes it no more, and the guest would go on with a disk that fails. */
static void on_corrupted(struct instance *instance, const struct qmp_event_info *info)
{
    const char *name = instance->record.spec.name;
    bool runs = instance->record.life.state == VM_RUNNING || instance->record.life.state == VM_READY;
    if (!info->fatal) {
        journal_note(instance, "its disk image is damaged, and in use still: %s", info->message);
        return;
    }
    journal_note(instance, "its disk image is damaged: %s", info->message);
    if (runs)
        qmp_link_execute(instance->qmp, QMP_STOP, INSTANCE_QMP_MS, NULL, NULL);
    instance_feed_because(
        instance, &(struct vm_event){.type = VM_EVENT_STOPPED},
        "its disk image is damaged, QEMU does not use it any more: piagent kill %s, then repair or replace it: "
        "qemu-img check -r all %s/disk.qcow2",
        name, instance->folder);
}

static void on_disk_error(struct instance *instance, const struct qmp_event_info *info)
{
    uint64_t now = pi_monotonic_ms();
    if (instance->disk_noted_ms && now - instance->disk_noted_ms < DISK_NOTE_MS)
        return;
    instance->disk_noted_ms = now;
    journal_note(instance, "a %s on disk %s failed%s: %s", info->operation,
                 info->node[0] ? info->node : info->device,
                 info->nospace ? " (no space left on the host)" : "", info->reason);
}

static void on_panicked(struct instance *instance)
{
    /* What its kernel said before is perhaps still to be read. */
    if (instance->console)
        channel_drain(instance->console);
    if (instance_begin_again(instance))
        return;
    tell_panic(instance, false);
}

/* One reset can come as several events: SeaBIOS and OVMF reset the machine once more before they begin. */
static void on_reset(struct instance *instance, bool guest)
{
    uint64_t now = pi_monotonic_ms(), last = instance->reset_ms;
    const char *how = instance->begins_again ? "begun again" : guest ? "rebooted" : "reset";
    instance->reset_ms = now;
    if (last && now - last < ONE_RESET_MS)
        return;
    if (!instance->begins_again)
        journal_note(instance, guest ? "the guest reboots" : "the machine was reset");
    instance_forget_boot(instance);
    instance->record.boot_ms = pi_realtime_ms();
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_RESET});
    instance_tell_boot(instance, how);
}

void instance_missed_reset(struct instance *instance)
{
    if (budget_spend(&instance->events_budget, EVENT_PRICE, EVENTS_BURST, EVENTS_PER_SECOND,
                     pi_monotonic_ms()))
        on_reset(instance, true);
}

static void on_shutdown(struct instance *instance, const struct qmp_event_info *info)
{
    struct vm_event event = {.type = VM_EVENT_SHUTDOWN, .guest = info->guest};
    if (!info->guest && instance->record.life.state != VM_STOPPING)
        instance_feed_because(instance, &event, "QEMU was told to end from outside piagent (%s)",
                              info->reason);
    else
        instance_feed(instance, &event);
}

/* QEMU has more events (QMP reference manual of QEMU 7.2 to 10.0). They are passed over:
 *  - of devices and jobs that piagent does not use: BALLOON_*, BLOCK_JOB_*, BLOCK_EXPORT_*, COLO_*, DEVICE_*,
 *    DUMP_COMPLETED, FAILOVER_*, JOB_*, MEM_*, MEMORY_DEVICE_*, MIGRATION*, PR_MANAGER_*, QUORUM_*, SPICE_*,
 *    UNPLUG_PRIMARY, VFIO_*, VFU_*, VNC_*, XEN_*, NETDEV_*;
 *  - that a guest makes as often as it likes, and that change nothing here: RTC_CHANGE,
 * NIC_RX_FILTER_CHANGED, VSERPORT_CHANGE, ACPI_DEVICE_OST, BLOCK_WRITE_THRESHOLD, CPU_POLARIZATION_CHANGE;
 *  - GUEST_PVSHUTDOWN, which SHUTDOWN follows. */
static void act_on(struct instance *instance, const struct qmp_event_info *info)
{
    switch (info->kind) {
    case QMP_EVENT_SHUTDOWN:
        on_shutdown(instance, info);
        break;
    case QMP_EVENT_RESET:
        on_reset(instance, info->guest);
        break;
    case QMP_EVENT_STOP:
        qmp_link_execute(instance->qmp, QMP_QUERY_STATUS, INSTANCE_QMP_MS, on_stop_status, instance);
        break;
    case QMP_EVENT_SUSPEND:
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_SUSPENDED});
        break;
    case QMP_EVENT_SUSPEND_DISK: /* SHUTDOWN follows */
        journal_note(instance, "the guest hibernates: its next start goes on from there");
        break;
    case QMP_EVENT_RESUME:
    case QMP_EVENT_WAKEUP:
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_CONTINUED});
        break;
    case QMP_EVENT_WATCHDOG: /* RESET or STOP follows, as the action says */
        journal_note(instance, "the guest's watchdog expired: %s", info->action);
        break;
    case QMP_EVENT_GUEST_CRASHLOADED: /* the crash kernel writes a dump, and reboots as a rule */
        journal_note(instance, "the guest's kernel crashed, and its crash kernel takes over");
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_PANICKED});
        break;
    case QMP_EVENT_GUEST_PANICKED:
        on_panicked(instance);
        break;
    case QMP_EVENT_MEMORY_FAILURE:
        journal_note(instance, "the host's memory failed under the %s: %s", info->recipient, info->action);
        break;
    case QMP_EVENT_BLOCK_IO_ERROR:
        on_disk_error(instance, info);
        break;
    case QMP_EVENT_BLOCK_IMAGE_CORRUPTED:
        on_corrupted(instance, info);
        break;
    case QMP_EVENT_POWERDOWN: /* that the button was pressed, which piagent did */
    case QMP_EVENT_OTHER:
        break;
    }
}

static void on_event(const struct qmp_event *event, void *user)
{
    struct instance *instance = user;
    struct qmp_event_info info = {.kind = QMP_EVENT_OTHER};
    bool readable = qmp_event_decode(event, &info) == 0;
    bool cheap = info.kind == QMP_EVENT_OTHER || info.kind == QMP_EVENT_BLOCK_IO_ERROR;
    if (!budget_spend(&instance->events_budget, cheap ? 1 : EVENT_PRICE, EVENTS_BURST, EVENTS_PER_SECOND,
                      pi_monotonic_ms()))
        instance_lose_monitor(instance, -EPROTO, "it sends events without end");
    else if (readable && !instance->adopting)
        act_on(instance, &info);
}

/* The last step of the handshake with a QEMU that ran before: what became of it meanwhile. */
static void on_adopted_status(int result, const json_t *data, const char *why, void *user)
{
    struct instance *instance = user;
    struct qmp_status status;
    bool returns = instance->monitor_told;
    if (result == -ECONNRESET)
        return;
    if (result < 0 || qmp_status_decode(data, &status) < 0) {
        instance_lose_monitor(instance, -EPROTO, result < 0 ? why : "it does not tell QEMU's state");
        return;
    }
    instance->adopting = instance->monitor_told = false;
    instance->monitor_why[0] = '\0';
    if (returns)
        journal_note(instance, "QEMU's monitor is back: QEMU is %s", status.name);
    else
        journal_note(instance, "taken over: its QEMU (process %u) is %s", (unsigned)instance->record.pid,
                     status.name);
    /* Where it stands still for a reason, that is what a guest that ran is paused for. */
    bool stands = !status.running && status.state != QMP_RUN_PRELAUNCH && status.state != QMP_RUN_PAUSED;
    bool starts = instance->record.life.state == VM_STARTING,
         stops = instance->record.life.state == VM_STOPPING;
    /* A guest that is off needs no button pressed any more. One that stands has run, also where the agent did
     * not live to see it start. */
    if (status.state != QMP_RUN_SHUTDOWN && (!stands || starts || stops))
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_ADOPTED,
                                                   .running = status.running || (stands && starts)});
    if (stands)
        stopped_for_a_reason(instance, &status);
    serve_waiting(instance);
}

static void on_uuid(int result, const json_t *data, const char *why, void *user)
{
    struct instance *instance = user;
    struct qmp_uuid uuid;
    if (result == -ECONNRESET)
        return;
    instance_watch_network(instance); /* QEMU answers, so that its child is there */
    /* The process is the one that was started here, and says that it is another machine: it is not believed,
     * and can only be ended. */
    if (result < 0)
        instance_lose_monitor(instance, result, why);
    else if (qmp_uuid_decode(data, &uuid) < 0 || strcmp(uuid.text, instance->record.spec.uuid) != 0)
        instance_lose_monitor(instance, -EPROTO, "it answers for another machine");
    else if (instance->adopting)
        qmp_link_execute(instance->qmp, QMP_QUERY_STATUS, INSTANCE_QMP_MS, on_adopted_status, instance);
    else
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_LAUNCHED});
}

static void on_ready(void *user)
{
    struct instance *instance = user;
    qmp_link_execute(instance->qmp, QMP_QUERY_UUID, INSTANCE_QMP_MS, on_uuid, instance);
}

static void on_closed(int reason, const char *why, void *user)
{
    struct instance *instance = user;
    if (instance->qmp) /* else it was given up here */
        instance_lose_monitor(instance, reason, why);
    serve_waiting(instance);
}

int instance_connect_qmp(struct instance *instance, struct pi_error *err)
{
    static const struct qmp_handler handler = {.ready = on_ready, .event = on_event, .closed = on_closed};
    struct instance_place place;
    instance->link_since_ms = pi_monotonic_ms();
    instance_find_socket(instance, INSTANCE_QMP, &place);
    return qmp_link_new(instance->host->loop, place.folder, place.name, INSTANCE_QMP_MS, &handler, instance,
                        &instance->qmp, err);
}
