/* SPDX-License-Identifier: MIT */
/* What a machine's boot may be expected to take: its milestones are noted as its events come, compared with
 * earlier boots, and kept when it is ready. */
#include <inttypes.h>
#include <string.h>

#include "agent/instance/instance.h"

/* All that changes how long a boot takes: what is booted and on what, whether cloud-init does its work of the
 * first boot, and what it is told to do. "" where the image is not known by its content. */
static void key_of(const struct instance *instance, char ret[VM_BOOTS_KEY])
{
    const struct vm_record *record = &instance->record;
    const struct vm_spec *spec = &record->spec;
    ret[0] = '\0';
    if (spec->image.sha256[0])
        snprintf(ret, VM_BOOTS_KEY, "%s %s %s cpus=%" PRIu64 " quota=%" PRIu64 " %s user-data=%016" PRIx64,
                 spec->image.sha256, vm_accel_names[record->accel], vm_firmware_names[spec->firmware],
                 spec->cpus, spec->cpu_quota_percent, record->booted ? "again" : "first",
                 instance->user_data_mark);
}

static const char *milestone_name(const struct api_event *event)
{
    switch (event->kind) {
    case API_EVENT_LANDMARK:
        return event->landmark;
    case API_EVENT_SEED:
        return "seed";
    case API_EVENT_REPORT:
        return event->stage;
    case API_EVENT_STATE:
        return event->state;
    default:
        return NULL;
    }
}

void boots_note(struct instance *instance, const struct api_event *event)
{
    struct vm_boot *boot = &instance->boot;
    const char *name = milestone_name(event);
    if (event->kind == API_EVENT_BOOT) {
        *boot = (struct vm_boot){.counts = true, .began_ms = event->monotonic_ms};
        instance->boot_event = event->seq;
    } else if (event->kind == API_EVENT_STATE && name) {
        bool sleeps = !strcmp(name, vm_state_names[VM_SUSPENDED]);
        boot->counts = boot->counts && !sleeps && strcmp(name, vm_state_names[VM_PAUSED]) != 0;
        instance->slept |= sleeps;
        if (!strcmp(name, vm_state_names[VM_STARTING]))
            instance->boot_event = 0, instance->slept = false;
    }
    instance->boot_news =
        event->kind == API_EVENT_BOOT || vm_boot_reach(boot, vm_milestone_find(name), event->monotonic_ms);
}

uint64_t boots_left_ms(struct instance *instance, const struct api_event *event)
{
    char key[VM_BOOTS_KEY];
    enum vm_milestone milestone = vm_milestone_find(milestone_name(event));
    boots_note(instance, event);
    if (!instance->boot_news)
        return 0;
    key_of(instance, key);
    if (milestone != VM_MILESTONE_READY)
        return vm_boots_left_ms(&instance->host->boots.boots, key, &instance->boot, milestone);
    boots_file_add(&instance->host->boots, key, &instance->boot);
    return 0;
}
