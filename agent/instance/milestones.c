/* SPDX-License-Identifier: MIT */
#include "agent/instance/milestones.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/text.h"
#include "agent/instance/instance.h"

/* Everything that changes how long a boot takes: the image, the virtual hardware, whether cloud-init does its
 * first-boot work, and the user-data. "" if the image is not known by its content. */
static void make_key(const struct instance *instance, char ret[VM_BOOTS_KEY])
{
    const struct vm_record *record = &instance->record;
    const struct vm_spec *spec = &record->spec;
    ret[0] = '\0';
    if (spec->image.sha256[0])
        snprintf(ret, VM_BOOTS_KEY, "%s %s %s cpus=%" PRIu64 " quota=%" PRIu64 " %s user-data=%016" PRIx64,
                 spec->image.sha256, vm_accel_names[record->accel], vm_firmware_names[spec->firmware],
                 spec->cpus, spec->cpu_quota_percent,
                 instance->boot.milestones.resumed ? "resumed"
                 : record->booted                  ? "again"
                                                   : "first",
                 instance->boot.milestones.user_data_mark);
}

static const char *milestone_name(const struct api_event *event)
{
    switch (event->kind) {
    case API_EVENT_LANDMARK:
        return vm_landmark_names[event->landmark];
    case API_EVENT_SEED:
        return "seed";
    case API_EVENT_REPORT:
        return event->stage;
    case API_EVENT_STATE:
        return vm_state_names[event->state];
    default:
        return NULL;
    }
}

/* True if the boot begins, or reaches a milestone. */
static bool note_event(struct milestones *milestones, const struct api_event *event)
{
    struct vm_boot *boot = &milestones->boot;
    if (event->kind == API_EVENT_BOOT) {
        *boot = (struct vm_boot){.counts = true, .began_ms = event->monotonic_ms};
        milestones->event_seq = event->seq;
        milestones->resumed = event->text && !strcmp(event->text, API_BOOT_RESUMED);
        return true;
    }
    if (event->kind == API_EVENT_QUEUED)
        boot->counts = false;
    if (event->kind == API_EVENT_STATE) {
        bool sleeps = event->state == VM_SUSPENDED;
        boot->counts = boot->counts && !sleeps && event->state != VM_PAUSED && event->state != VM_SAVING;
        milestones->slept |= sleeps;
        if (event->state == VM_STARTING)
            milestones->event_seq = 0, milestones->slept = false;
    }
    return vm_boot_reach(boot, vm_milestone_find(milestone_name(event)), event->monotonic_ms);
}

static uint64_t expect_left_ms(const struct instance *instance, enum vm_milestone milestone)
{
    char key[VM_BOOTS_KEY];
    make_key(instance, key);
    return vm_boots_left_ms(&instance->host->boots.boots, key, &instance->boot.milestones.boot, milestone);
}

static void keep_boot(struct instance *instance)
{
    char key[VM_BOOTS_KEY];
    make_key(instance, key);
    boots_file_add(&instance->host->boots, key, &instance->boot.milestones.boot);
}

void milestones_add(struct instance *instance, struct api_event *event)
{
    enum vm_milestone milestone = vm_milestone_find(milestone_name(event));
    journal_stamp(instance, event);
    bool news = note_event(&instance->boot.milestones, event), ready = milestone == VM_MILESTONE_READY;
    event->left_ms = news && !ready ? expect_left_ms(instance, milestone) : 0;
    journal_append(instance, event);
    if (news && ready)
        keep_boot(instance);
}

void milestones_recall(struct instance *instance, const struct api_event *event)
{
    note_event(&instance->boot.milestones, event);
}

bool milestones_has(const struct instance *instance, enum vm_milestone milestone)
{
    return instance->boot.milestones.boot.reached_ms[milestone];
}

uint64_t milestones_event_seq(const struct instance *instance)
{
    return instance->boot.milestones.event_seq;
}

bool milestones_has_slept(const struct instance *instance)
{
    return instance->boot.milestones.slept;
}

bool milestones_has_resumed(const struct instance *instance)
{
    return instance->boot.milestones.resumed;
}

void milestones_set_user_data(struct instance *instance, const void *data, size_t size)
{
    instance->boot.milestones.user_data_mark = pi_hash(data, size);
}
