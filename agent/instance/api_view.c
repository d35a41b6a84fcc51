/* SPDX-License-Identifier: MIT */
#include "agent/instance/api_view.h"

#include <stdio.h>

#include "agent/base/clock.h"
#include "agent/instance/guest_seed.h"
#include "agent/instance/instance.h"
#include "agent/instance/membership.h"

static enum api_cloud_init cloud_init_of(const struct vm_record *record)
{
    static const enum api_cloud_init ended[IMDS_RESULTS] = {
        [IMDS_RESULT_SUCCESS] = API_CLOUD_INIT_DONE,
        [IMDS_RESULT_WARN] = API_CLOUD_INIT_DEGRADED,
        [IMDS_RESULT_FAIL] = API_CLOUD_INIT_FAILED,
    };
    bool live = vm_state_is_live(record->life.state);
    /* The boot goes on until the announced reboot has come. After a poweroff, no reboot comes. */
    enum imds_result result = live || !record->held_result ? record->cloud_init_result : record->held_result;
    if (result)
        return ended[result];
    if (record->silence[0])
        return API_CLOUD_INIT_SILENT;
    if (record->cloud_init_stage[0])
        return API_CLOUD_INIT_RUNNING;
    return live ? API_CLOUD_INIT_PENDING : API_CLOUD_INIT_NONE;
}

static enum api_stopped_by stopped_by(const struct vm_record *record)
{
    static const enum api_stopped_by rungs[] = {
        [VM_RUNG_QUIT] = API_STOPPED_BY_QUIT,
        [VM_RUNG_TERM] = API_STOPPED_BY_TERM,
        [VM_RUNG_KILL] = API_STOPPED_BY_KILL,
    };
    if (record->life.state != VM_STOPPED)
        return API_STOPPED_BY_NONE;
    if (record->life.guest_powered_off)
        return record->life.rung == VM_RUNG_POWERDOWN ? API_STOPPED_BY_POWERDOWN : API_STOPPED_BY_GUEST;
    return rungs[record->life.rung];
}

/* The reason to show: of the state, or a fault that is known now; or NULL. */
static const char *reason_of(const struct instance *instance, char buf[VM_REASON_MAX])
{
    if (instance->record.life.reason[0])
        return instance->record.life.reason;
    bool live = vm_state_is_live(instance->record.life.state);
    char size[32];
    bool failed = live && instance->record.cloud_init_result == IMDS_RESULT_FAIL;
    const char *name = instance->record.spec.name;
    if (set_up_waits_for(instance, buf, VM_REASON_MAX))
        return buf;
    if (instance->record.life.state == VM_SAVED && instance->record.spec.template)
        snprintf(buf, VM_REASON_MAX,
                 "it is saved (%s): piagent run --template %s NAME makes an instance of it",
                 pi_size_format(instance->record.saved_bytes, size), name);
    else if (instance->record.life.state == VM_SAVED)
        snprintf(buf, VM_REASON_MAX, "its state is saved (%s): piagent start %s lets it go on",
                 pi_size_format(instance->record.saved_bytes, size), name);
    else if (monitor_trouble(instance)[0])
        snprintf(buf, VM_REASON_MAX, "QEMU's monitor does not work (%s): piagent kill %s ends it",
                 monitor_trouble(instance), name);
    else if (network_is_gone(instance))
        snprintf(buf, VM_REASON_MAX,
                 "the guest's network has died: piagent powerdown %s, then piagent start %s", name, name);
    else if (guest_seed_lost_port(instance))
        snprintf(
            buf, VM_REASON_MAX,
            "another program took port %u, so that its guest cannot report: piagent powerdown %s, then piagent "
            "start %s",
            (unsigned)instance->record.imds_port, name, name);
    else if ((live || instance->left_out) && membership_tell_trouble(instance, buf, VM_REASON_MAX))
        return buf;
    else if (guest_link_clock_off_ms(instance))
        snprintf(buf, VM_REASON_MAX, "its clock is %s: piagent ssh %s -- sudo date -s @$(date +%%s)",
                 guest_link_clock_off_ms(instance) < 0 ? "behind" : "ahead", name);
    else if (failed)
        snprintf(buf, VM_REASON_MAX,
                 "cloud-init failed: piagent ssh %s -- cloud-init status --long tells why", name);
    else if (live && instance->record.held_result)
        snprintf(buf, VM_REASON_MAX,
                 "cloud-init has announced a reboot or poweroff, and ready comes after it");
    else if (live && instance->record.silence[0])
        snprintf(
            buf, VM_REASON_MAX,
            "cloud-init was not heard to report: %s; piagent ssh %s -- cloud-init status --long tells more",
            instance->record.silence, name);
    else
        return NULL;
    return buf;
}

/* The strings are borrowed, from buf too: the view is written and never freed. */
static struct api_instance view_of(const struct instance *instance, char buf[VM_REASON_MAX])
{
    const struct vm_record *record = &instance->record;
    const struct vm_spec *spec = &record->spec;
    int64_t off_ms = guest_link_clock_off_ms(instance);
    return (struct api_instance){
        .name = (char *)spec->name,
        .state = record->life.state,
        .reason = (char *)reason_of(instance, buf),
        .arch = spec->arch,
        .accel = record->accel,
        .image = spec->image.name,
        .image_sha256 = spec->image.sha256[0] ? (char *)spec->image.sha256 : NULL,
        .image_verified = spec->image.verified,
        .spec = *spec,
        .pid = record->pid,
        .host_memory_bytes = process_memory_bytes(instance),
        .saved_bytes = record->saved_bytes,
        .snapshots = snapshot_count(instance),
        .snapshot = record->snapshot[0] ? (char *)record->snapshot : NULL,
        .created_ms = record->created_ms,
        .started_ms = record->started_ms,
        .boot_ms = record->boot_ms,
        .ready_ms = record->ready_ms,
        .stopped_ms = record->stopped_ms,
        .booted = record->booted,
        .cloud_init = cloud_init_of(record),
        .cloud_init_stage = record->cloud_init_stage[0] ? (char *)record->cloud_init_stage : NULL,
        .failed_modules = record->failed_modules,
        .user_data_problems = record->user_data_problems,
        .stopped_by = stopped_by(record),
        .removed = vm_life_is_gone(&record->life),
        .begun_again = record->life.begun_again,
        .clock_behind_ms = off_ms < 0 ? (uint64_t)-off_ms : 0,
        .folder = instance->folder,
        .last_event = journal_told_seq(instance),
        .boot_event = milestones_event_seq(instance),
        .last_sign_ms = set_up_waits(instance) ? pi_realtime_ms() : guest_sign_realtime_ms(instance),
    };
}

json_t *instance_view(const struct instance *instance)
{
    char buf[VM_REASON_MAX];
    struct api_instance view = view_of(instance, buf);
    json_t *object = api_write(instance, &view);
    json_object_del(object, "already"); /* only the answer to a request has it */
    return object;
}

json_t *instance_summary(const struct instance *instance)
{
    char buf[VM_REASON_MAX];
    struct api_instance view = view_of(instance, buf);
    return api_write(summary, &view);
}
