/* SPDX-License-Identifier: MIT */
#include "agent/instance/boot.h"

#include <string.h>

#include "agent/base/text.h"
#include "agent/instance/instance.h"

void boot_reset(struct instance *instance)
{
    if (!vm_state_is_saved(instance->record.life.state)) /* the same boot goes on after it */
        instance->boot.landmarks = (struct vm_landmarks){0};
    instance->boot.begin_told = false;
    trouble_reset(instance);
}

void boot_done(struct instance *instance)
{
    trouble_done(instance);
}

void boot_forget(struct instance *instance)
{
    struct vm_record *record = &instance->record;
    record->cloud_init_stage[0] = record->silence[0] = '\0';
    record->cloud_init_result = record->held_result = IMDS_RESULT_NONE;
    record->ready_ms = 0;
    pi_strv_done(&record->failed_modules);
    record->power_change = record->disk_full = record->cloud_init_died = false;
    guest_link_forget_clock(instance);
    monitor_watch_boot(instance);
    trouble_forget(instance);
}

/* A guest that resumes has passed all landmarks, whatever its kernel prints. */
static enum vm_landmark first_landmark(const char *how)
{
    return how && !strcmp(how, API_BOOT_RESUMED) ? VM_LANDMARK_LOGIN : VM_LANDMARK_NONE;
}

void boot_tell(struct instance *instance, const char *how)
{
    instance->boot.landmarks = (struct vm_landmarks){.reached = first_landmark(how)};
    instance->boot.begin_told = true;
    instance->counts.boots++;
    silence_begin(instance);
    milestones_add(instance, &(struct api_event){.kind = API_EVENT_BOOT, .text = (char *)how});
}

void boot_tell_begin(struct instance *instance, const char *how)
{
    if (!instance->boot.begin_told)
        boot_tell(instance, how);
}

/* Keeps for the next agent what the console has hinted at (vm_record), if that has changed. */
static void keep_hints(struct instance *instance)
{
    struct vm_record *record = &instance->record;
    const struct vm_landmarks *landmarks = &instance->boot.landmarks;
    if (record->disk_full == landmarks->disk_full && record->cloud_init_died == landmarks->cloud_init_died)
        return;
    record->disk_full = landmarks->disk_full;
    record->cloud_init_died = landmarks->cloud_init_died;
    store_save(instance);
}

static void on_landmark(enum vm_landmark landmark, const char *line, size_t length, void *user)
{
    struct instance *instance = user;
    char text[VM_LANDMARK_LINE];
    pi_text_clean(line, length, text, sizeof text);
    if (trouble_is_stuck(instance))
        trouble_over(instance);
    silence_begin(instance);
    milestones_add(instance,
                   &(struct api_event){.kind = API_EVENT_LANDMARK, .landmark = landmark, .text = text});
}

void boot_hear_console(struct instance *instance, const char *bytes, size_t size)
{
    struct vm_landmarks *landmarks = &instance->boot.landmarks;
    enum vm_state state = instance->record.life.state;
    if (state == VM_STARTING) /* the guest may print before QEMU has answered cont */
        boot_tell_begin(instance, API_BOOT_STARTED);
    if (state != VM_READY || landmarks->reached < VM_LANDMARK_LOGIN)
        vm_landmarks_feed(landmarks, bytes, size, on_landmark, instance);
    keep_hints(instance);
    trouble_heard(instance);
}

void boot_hear_report(struct instance *instance)
{
    instance->boot.landmarks.disk_full = instance->boot.landmarks.cloud_init_died = false;
    keep_hints(instance);
}

void boot_forget_trouble(struct instance *instance)
{
    instance->boot.landmarks.trouble = VM_TROUBLE_NONE;
}

const struct vm_landmarks *boot_landmarks(const struct instance *instance)
{
    return &instance->boot.landmarks;
}

void boot_recall(struct instance *instance, const struct api_event *event)
{
    struct vm_landmarks *landmarks = &instance->boot.landmarks;
    milestones_recall(instance, event);
    trouble_recall(instance, event);
    if (event->kind == API_EVENT_BOOT) {
        landmarks->reached = first_landmark(event->text);
        instance->boot.begin_told = true;
    } else if (event->kind == API_EVENT_STATE &&
               (event->state == VM_STARTING || event->state == VM_RESTORING)) {
        instance->boot.begin_told = false;
    }
    if (event->landmark && event->landmark < VM_LANDMARKS)
        landmarks->reached = event->landmark;
}

void boot_recall_cut(struct instance *instance)
{
    instance->boot.landmarks.reached = VM_LANDMARK_LOGIN;
}

void boot_recall_hints(struct instance *instance)
{
    instance->boot.landmarks.disk_full = instance->record.disk_full;
    instance->boot.landmarks.cloud_init_died = instance->record.cloud_init_died;
}
