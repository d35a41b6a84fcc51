/* What QEMU says over QMP: the handshake that proves whose QEMU it is, and the events that move the
 * instance's life. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/daemon/instance.h"

#define RECONNECT_MS 2000

static void stopped_for_a_reason(struct instance *instance, const struct qmp_status *status)
{
    if (status->state == QMP_RUN_INTERNAL_ERROR) {
        bool fallback =
            instance->record.spec.accel == VM_ACCEL_AUTO && instance->record.accel == VM_ACCEL_KVM;
        if (fallback)
            journal_note(
                instance,
                "KVM cannot run a guest on this host (internal-error): starting it afresh under TCG");
        else
            instance_set_reason(
                instance, "%s cannot run this guest (internal-error)%s",
                vm_accel_names[instance->record.accel],
                instance->record.accel == VM_ACCEL_KVM ? ": leave --accel out, or say --accel tcg" : "");
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_INTERNAL_ERROR, .fallback = fallback});
    } else if (status->state == QMP_RUN_SHUTDOWN) {
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_SHUTDOWN, .guest = true});
    } else {
        if (status->state == QMP_RUN_IO_ERROR)
            journal_note(
                instance,
                "paused: its disk could not be written; make room on the host, then: piagent resume %s",
                instance->record.spec.name);
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_STOPPED});
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

static void on_block_error(struct instance *instance, const struct qmp_event_info *info)
{
    const char *disk = info->node[0] ? info->node : info->device;
    if (info->kind == QMP_EVENT_BLOCK_IMAGE_CORRUPTED)
        journal_note(instance, "the disk image %s is corrupt%s: %s", disk,
                     info->fatal ? " and cannot be used any more" : "", info->message);
    else
        journal_note(instance, "a %s on disk %s failed%s: %s", info->operation, disk,
                     info->nospace ? " (no space left on the host)" : "", info->reason);
}

static void on_event(const struct qmp_event *event, void *user)
{
    struct instance *instance = user;
    struct qmp_event_info info;
    if (qmp_event_decode(event, &info) < 0 || instance->adopting)
        return;
    switch (info.kind) {
    case QMP_EVENT_SHUTDOWN:
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_SHUTDOWN, .guest = info.guest});
        break;
    case QMP_EVENT_RESET:
        instance_forget_boot(instance);
        journal_note(instance, info.guest ? "the guest reboots" : "the machine was reset");
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_RESET});
        break;
    case QMP_EVENT_STOP:
        qmp_link_execute(instance->qmp, QMP_QUERY_STATUS, INSTANCE_QMP_MS, on_stop_status, instance);
        break;
    case QMP_EVENT_RESUME:
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_CONTINUED});
        break;
    case QMP_EVENT_GUEST_PANICKED:
        journal_note(instance, "the guest's kernel panicked: piagent logs %s shows its last words",
                     instance->record.spec.name);
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_PANICKED});
        break;
    case QMP_EVENT_BLOCK_IO_ERROR:
    case QMP_EVENT_BLOCK_IMAGE_CORRUPTED:
        on_block_error(instance, &info);
        break;
    default:
        break;
    }
}

/* The last step of the handshake with a QEMU that ran before: what became of it meanwhile. */
static void on_adopted_status(int result, const json_t *data, const char *why, void *user)
{
    struct instance *instance = user;
    struct qmp_status status;
    (void)why;
    if (result < 0 || qmp_status_decode(data, &status) < 0)
        return;
    instance->adopting = false;
    journal_note(instance, "taken over: its QEMU (process %u) is %s", (unsigned)instance->record.pid,
                 status.name);
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_ADOPTED, .running = status.running});
    if (!status.running && status.state != QMP_RUN_PRELAUNCH && status.state != QMP_RUN_PAUSED)
        stopped_for_a_reason(instance, &status);
}

static void on_uuid(int result, const json_t *data, const char *why, void *user)
{
    struct instance *instance = user;
    struct qmp_uuid uuid;
    (void)why;
    if (result < 0)
        return;
    if (qmp_uuid_decode(data, &uuid) < 0 || strcmp(uuid.text, instance->record.spec.uuid) != 0) {
        /* It holds this instance's socket and process identity, and is another machine: not ours to touch. */
        instance_set_reason(instance, "the process that was its QEMU is another machine now");
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_EXITED});
    } else if (instance->adopting) {
        qmp_link_execute(instance->qmp, QMP_QUERY_STATUS, INSTANCE_QMP_MS, on_adopted_status, instance);
    } else {
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_LAUNCHED});
    }
}

static void on_ready(void *user)
{
    struct instance *instance = user;
    qmp_link_execute(instance->qmp, QMP_QUERY_UUID, INSTANCE_QMP_MS, on_uuid, instance);
}

static void reconnect(void *user)
{
    struct instance *instance = user;
    struct pi_error err;
    instance->adopting = instance->record.state != VM_STARTING;
    if (instance->pidfd >= 0 && !instance->qmp && instance_connect_qmp(instance, &err) < 0)
        timer_set(instance->link_timer, RECONNECT_MS);
}

/* The process may have ended (its pidfd will tell) or only its monitor; a QEMU that never answered at its
 * start is no use. */
static void on_closed(int reason, const char *why, void *user)
{
    struct instance *instance = user;
    struct qmp_link *link = pi_steal(instance->qmp);
    if (!link) /* it was given up here */
        return;
    qmp_link_close(link);
    if (reason == -ETIMEDOUT && instance->record.state == VM_STARTING) {
        instance_set_reason(instance, "QEMU did not answer at its start: %s", why);
        pi_signal(instance->pidfd, SIGKILL);
        return;
    }
    if (reason != -ECONNRESET)
        journal_note(instance, "QEMU's monitor was cut (%s): connecting anew", why);
    timer_set(instance->link_timer, RECONNECT_MS);
}

int instance_connect_qmp(struct instance *instance, struct pi_error *err)
{
    static const struct qmp_handler handler = {.ready = on_ready, .event = on_event, .closed = on_closed};
    struct agent *agent = instance->agent;
    char name[96];
    if (!instance->link_timer && !(instance->link_timer = timer_new(&agent->loop, reconnect, instance)))
        return pi_fail(err, ENOMEM, "QMP");
    snprintf(name, sizeof name, "%s.qmp", instance->record.spec.name);
    return qmp_link_new(&agent->loop, agent->paths.runtime, name, INSTANCE_QMP_MS, &handler, instance,
                        &instance->qmp, err);
}
