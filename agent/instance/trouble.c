/* SPDX-License-Identifier: MIT */
/* A boot that goes no further: what its console says last (vm/landmark.h), when nothing follows it. */
#include <stdio.h>
#include <string.h>

#include "agent/instance/instance.h"
#include "agent/loop/log.h"

#define SILENCE_MS 5000
/* Where the kernel may go on, and where cloud-init runs scripts: they print anything, and take their time. */
#define LONG_SILENCE_MS 60000
#define WORDS_MAX       160

bool instance_has_panicked(const struct instance *instance)
{
    return pi_starts_with(instance->record.life.reason, vm_trouble_texts[VM_TROUBLE_PANIC]);
}

/* Of a guest that is up the boot is over, and a log may say what it likes. */
static bool is_booting(const struct instance *instance)
{
    return instance->record.life.state == VM_RUNNING && !instance->record.cloud_init_result[0] &&
           !instance->record.silence[0];
}

/* See vm_landmarks.int3. */
static bool is_qemus_race(const struct instance *instance)
{
    return instance->landmarks.int3 && instance->record.accel == VM_ACCEL_TCG &&
           instance->record.spec.cpus > 1;
}

bool instance_begin_again(struct instance *instance)
{
    const struct vm_record *record = &instance->record;
    if (!is_qemus_race(instance) || record->booted || record->life.begun_again ||
        record->life.state != VM_RUNNING || !instance_has_monitor(instance))
        return false;
    journal_note(instance,
                 "its kernel died by a race in QEMU, which emulates several processors here (int3): "
                 "the boot is begun again, once");
    instance->begins_again = true;
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_PANICKED, .again = true});
    return true;
}

static void tell(struct instance *instance)
{
    const struct vm_landmarks *seen = &instance->landmarks;
    const char *name = instance->record.spec.name;
    char text[VM_LANDMARK_LINE + 128], clean[sizeof text];
    size_t length = strnlen(seen->words, WORDS_MAX);
    while (length && strchr(" .:", seen->words[length - 1]))
        length--;
    snprintf(text, sizeof text, "%s: %.*s%s", vm_trouble_texts[seen->trouble], (int)length, seen->words,
             is_qemus_race(instance) ? " (a race of QEMU before 8.1 while it emulates several processors: "
                                       "--cpus 1 avoids it)"
                                     : "");
    pi_text_clean(text, strlen(text), clean, sizeof clean);
    log_line("%s: %s", name, clean);
    instance->stuck = true;
    journal_add(instance, &(struct api_event){.kind = API_EVENT_STUCK, .text = clean});
    instance_feed_because(instance, &(struct vm_event){.type = VM_EVENT_PANICKED},
                          "%s; piagent logs %s shows its last words, piagent reset %s boots it anew", clean,
                          name, name);
}

static void on_silence(void *user)
{
    struct instance *instance = user;
    if (vm_state_stands_still(instance->record.life.state))
        trouble_heard(instance);
    else if (instance->landmarks.trouble && is_booting(instance) && !instance_has_panicked(instance) &&
             !instance_begin_again(instance))
        tell(instance);
}

void trouble_heard(struct instance *instance)
{
    enum vm_trouble trouble = instance->landmarks.trouble;
    if (!trouble || instance->stuck)
        return;
    if (!instance->trouble_timer)
        instance->trouble_timer = timer_new(instance->host->loop, on_silence, instance);
    bool patient = trouble == VM_TROUBLE_INT3 || instance->record.cloud_init_stage[0];
    if (instance->trouble_timer)
        timer_set(instance->trouble_timer, patient ? LONG_SILENCE_MS : SILENCE_MS);
}

void trouble_over(struct instance *instance)
{
    instance->landmarks.trouble = VM_TROUBLE_NONE;
    if (instance->trouble_timer)
        timer_clear(instance->trouble_timer);
    if (!instance->stuck)
        return;
    instance->stuck = false;
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_GOES_ON});
    journal_note(instance, "its boot goes on");
}
