/* An instance as the API shows it. */
#include <string.h>

#include "agent/daemon/instance.h"

static const char *cloud_init(const struct vm_record *record)
{
    if (!strcmp(record->cloud_init_result, "FAIL"))
        return "failed";
    if (!strcmp(record->cloud_init_result, "WARN"))
        return "degraded";
    if (!strcmp(record->cloud_init_result, "SUCCESS"))
        return "done";
    if (record->cloud_init_stage[0])
        return "running";
    return vm_state_is_live((enum vm_state)record->state) ? "pending" : NULL;
}

static const char *stopped_by(const struct vm_record *record)
{
    if (record->state != VM_STOPPED)
        return NULL;
    if (record->guest_powered_off)
        return record->rung == VM_RUNG_POWERDOWN ? "powerdown" : "guest";
    return record->rung == VM_RUNG_NONE ? NULL : vm_rung_names[record->rung];
}

json_t *instance_view(const struct instance *instance)
{
    const struct vm_record *record = &instance->record;
    const struct vm_spec *spec = &record->spec;
    /* The strings are borrowed: the view is written and never freed. */
    struct api_instance view = {
        .name = (char *)spec->name,
        .state = (char *)vm_state_names[record->state],
        .reason = record->reason[0] ? (char *)record->reason : NULL,
        .arch = (char *)vm_arch_names[spec->arch],
        .accel = record->accel == VM_ACCEL_AUTO ? NULL : (char *)vm_accel_names[record->accel],
        .image = spec->image.name,
        .image_sha256 = spec->image.sha256[0] ? (char *)spec->image.sha256 : NULL,
        .image_verified = spec->image.verified,
        .cpus = spec->cpus,
        .memory_mib = spec->memory_mib,
        .disk_bytes = spec->disk_bytes,
        .uuid = (char *)spec->uuid,
        .pid = record->pid,
        .user = spec->user,
        .ssh_port = spec->ssh_port,
        .forwards = spec->forwards,
        .created_ms = record->created_ms,
        .started_ms = record->started_ms,
        .ready_ms = record->ready_ms,
        .stopped_ms = record->stopped_ms,
        .cloud_init = (char *)cloud_init(record),
        .cloud_init_stage = record->cloud_init_stage[0] ? (char *)record->cloud_init_stage : NULL,
        .failed_modules = record->failed_modules,
        .stopped_by = (char *)stopped_by(record),
        .folder = instance->folder,
        .last_event = instance->next_seq - 1,
    };
    return api_write(instance, &view);
}
