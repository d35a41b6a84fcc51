/* SPDX-License-Identifier: MIT */
#include "agent/instance/qemu_events.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/text.h"
#include "agent/instance/accel.h"
#include "agent/instance/instance.h"
#include "agent/vm/argv.h"

#define DISK_NOTE_MS 10000
/* An event that is written down costs EVENT_PRICE, one that is passed over costs 1. A guest that reboots in a
 * loop, or whose disk fails, stays within the budget. */
#define EVENTS_BURST      2000u
#define EVENTS_PER_SECOND 50u
#define EVENT_PRICE       10u
#define ONE_RESET_MS      1000

static void stopped_by_full_disk(struct instance *instance)
{
    if (instance->record.life.state == VM_STOPPING) {
        journal_note(instance, "the guest cannot go on and power off: the host's disk is full");
        return;
    }
    instance_feed_because(
        instance, &(struct vm_event){.type = VM_EVENT_STOPPED},
        "the host's disk is full: the guest is paused, and goes on when there is room in %s",
        instance->folder);
    if (instance->record.life.state == VM_PAUSED)
        disk_room_await(instance);
}

static void stopped_by_accelerator(struct instance *instance)
{
    const char *name = instance->record.spec.name, *accel = vm_accel_names[instance->record.accel];
    const struct vm_life *life = &instance->record.life;
    bool boots = vm_life_boots(life), fallback = boots && accel_may_fall_back(&instance->record);
    char reason[VM_REASON_MAX] = "";
    if (life->state == VM_STOPPING)
        journal_note(instance, "the guest cannot go on and power off: %s failed (internal-error)", accel);
    else if (fallback)
        journal_note(instance,
                     "KVM cannot run a guest on this host (internal-error): starting it afresh under TCG");
    else if (boots)
        snprintf(reason, sizeof reason, "%s cannot run this guest (internal-error)%s", accel,
                 instance->record.accel == VM_ACCEL_KVM ? ": leave out --accel, or say --accel tcg" : "");
    else
        snprintf(reason, sizeof reason,
                 "%s failed under the guest (internal-error): piagent logs %s shows its last words, "
                 "piagent reset %s and piagent resume %s boot it anew",
                 accel, name, name, name);
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_INTERNAL_ERROR,
                                               .fallback = fallback,
                                               .reason = reason[0] ? reason : NULL});
}

/* Tells the panic once. stands: QEMU stopped the vCPUs for it. */
static void tell_panic(struct instance *instance, bool stands)
{
    const char *what = vm_trouble_texts[VM_TROUBLE_PANIC], *name = instance->record.spec.name;
    if (!trouble_has_panicked(instance))
        journal_add(instance, &(struct api_event){.kind = API_EVENT_PANIC, .text = (char *)what});
    instance_feed_because(instance, &(struct vm_event){.type = stands ? VM_EVENT_STOPPED : VM_EVENT_PANICKED},
                          "%s: piagent logs %s shows its last words, piagent reset %s%s%s boots it anew",
                          what, name, name, stands ? " and then piagent resume " : "", stands ? name : "");
    if (stands)
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_PANICKED});
}

void qemu_events_stopped(struct instance *instance, const struct qmp_status *status)
{
    switch (status->state) {
    case QMP_RUN_INTERNAL_ERROR:
        stopped_by_accelerator(instance);
        break;
    case QMP_RUN_SHUTDOWN: /* a QEMU that was told to end by someone else does not stay in this state */
        instance_feed(instance,
                      &(struct vm_event){.type = VM_EVENT_SHUTDOWN, .guest = !instance->record.life.cut_off});
        break;
    case QMP_RUN_IO_ERROR: /* by default QEMU stops only for a full disk, and reports other errors to the guest */
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
    case QMP_RUN_RUNNING: /* it goes on already, and RESUME says so */
        break;
    case QMP_RUN_PRELAUNCH: /* after a reset of a guest that stood still */
    case QMP_RUN_WATCHDOG:  /* the guest's watchdog expired: QEMU resets it, unless it is told to pause */
    case QMP_RUN_COLO:      /* from here on: debuggers, and steps of a migration */
    case QMP_RUN_DEBUG:
    case QMP_RUN_FINISH_MIGRATE:
    case QMP_RUN_INMIGRATE:
    case QMP_RUN_POSTMIGRATE:
    case QMP_RUN_RESTORE_VM:
    case QMP_RUN_SAVE_VM:
    case QMP_RUN_OTHER:
        instance_feed_because(instance, &(struct vm_event){.type = VM_EVENT_STOPPED},
                              "QEMU has stopped the guest; its state is %s", status->name);
        break;
    }
}

/* STOP says that the vCPUs stopped, not why. */
static void on_stop_status(int result, const json_t *data, const char *why, void *user)
{
    const struct instance *instance = user;
    struct qmp_status status;
    (void)why;
    if (vm_state_is_saved(instance->record.life.state)) /* it was stopped for that */
        return;
    if (result == 0 && qmp_status_decode(data, &status) == 0 && !status.running)
        qemu_events_stopped(user, &status);
}

/* QEMU does not use the disk any more, so the guest is stopped: it would go on with a disk that fails. */
static void on_corrupted(struct instance *instance, const struct qmp_event_info *info)
{
    const char *name = instance->record.spec.name;
    if (!info->fatal) {
        journal_note(instance, "its disk image is damaged, and in use still: %s", info->message);
        return;
    }
    journal_note(instance, "its disk image is damaged: %s", info->message);
    if (instance_runs(instance))
        monitor_execute(instance, QMP_STOP, NULL, NULL);
    instance_feed_because(
        instance, &(struct vm_event){.type = VM_EVENT_STOPPED},
        "its disk image is damaged, QEMU does not use it any more: piagent kill %s, then repair or replace it: "
        "qemu-img check -r all %s/" VM_DISK_FILE,
        name, instance->folder);
}

static void on_disk_error(struct instance *instance, const struct qmp_event_info *info)
{
    uint64_t now = pi_monotonic_ms();
    if (instance->monitor.events.disk_noted_ms && now - instance->monitor.events.disk_noted_ms < DISK_NOTE_MS)
        return;
    instance->monitor.events.disk_noted_ms = now;
    journal_note(instance, "a %s on disk %s failed%s: %s", info->operation,
                 info->node[0] ? info->node : info->device,
                 info->nospace ? " (no space left on the host)" : "", info->reason);
}

static void on_panicked(struct instance *instance)
{
    /* The kernel's last words may not have been read yet. */
    console_drain(instance);
    if (trouble_begin_again(instance))
        return;
    tell_panic(instance, false);
}

/* One reset may come as several events, because SeaBIOS and OVMF reset once more before they begin. */
static void on_reset(struct instance *instance, bool guest)
{
    uint64_t now = pi_monotonic_ms(), last = instance->monitor.events.reset_ms;
    const char *how = trouble_begins_again(instance) ? "begun again" : guest ? "rebooted" : "reset";
    instance->monitor.events.reset_ms = now;
    if (last && now - last < ONE_RESET_MS)
        return;
    if (!trouble_begins_again(instance))
        journal_note(instance, guest ? "the guest reboots" : "the instance was reset");
    boot_forget(instance);
    instance->record.boot_ms = pi_realtime_ms();
    identity_guest_reset(instance);
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_RESET});
    boot_tell(instance, how);
}

void qemu_events_missed_reset(struct instance *instance)
{
    if (budget_spend(&instance->monitor.events.budget, EVENT_PRICE, EVENTS_BURST, EVENTS_PER_SECOND,
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
static void act_on_event(struct instance *instance, const struct qmp_event_info *info)
{
    switch (info->kind) {
    case QMP_EVENT_SHUTDOWN:
        on_shutdown(instance, info);
        break;
    case QMP_EVENT_RESET:
        on_reset(instance, info->guest);
        break;
    case QMP_EVENT_STOP:
        monitor_execute(instance, QMP_QUERY_STATUS, on_stop_status, instance);
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
    case QMP_EVENT_POWERDOWN: /* piagent pressed the power button itself */
    case QMP_EVENT_OTHER:
        break;
    }
}

void qemu_events_receive(struct instance *instance, const struct qmp_event *event)
{
    struct qmp_event_info info = {.kind = QMP_EVENT_OTHER};
    bool readable = qmp_event_decode(event, &info) == 0;
    bool cheap = info.kind == QMP_EVENT_OTHER || info.kind == QMP_EVENT_BLOCK_IO_ERROR;
    if (!budget_spend(&instance->monitor.events.budget, cheap ? 1 : EVENT_PRICE, EVENTS_BURST,
                      EVENTS_PER_SECOND, pi_monotonic_ms()))
        monitor_lose(instance, -EPROTO, "it sends events without end");
    else if (readable && !monitor_is_adopting(instance))
        act_on_event(instance, &info);
}
