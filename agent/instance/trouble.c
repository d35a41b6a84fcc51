/* SPDX-License-Identifier: MIT */
#include "agent/instance/trouble.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/text.h"
#include "agent/instance/instance.h"
#include "agent/loop/log.h"
#include "agent/loop/loop.h"

#define SILENCE_MS 5000
/* For a kernel that may go on, and for cloud-init's scripts, which print anything and take their time. */
#define LONG_SILENCE_MS 60000
#define WORDS_MAX       160

void trouble_reset(struct instance *instance)
{
    struct trouble *trouble = &instance->boot.trouble;
    timer_clear(trouble->timer);
    trouble_forget(instance);
}

void trouble_done(struct instance *instance)
{
    timer_free(instance->boot.trouble.timer);
}

void trouble_forget(struct instance *instance)
{
    instance->boot.trouble.stuck = instance->boot.trouble.begins_again = false;
}

void trouble_recall(struct instance *instance, const struct api_event *event)
{
    struct trouble *trouble = &instance->boot.trouble;
    trouble->stuck =
        event->kind == API_EVENT_STUCK || (trouble->stuck && !api_event_takes_back(event, API_EVENT_STUCK));
}

bool trouble_begins_again(const struct instance *instance)
{
    return instance->boot.trouble.begins_again;
}

bool trouble_is_stuck(const struct instance *instance)
{
    return instance->boot.trouble.stuck;
}

bool trouble_has_panicked(const struct instance *instance)
{
    return pi_starts_with(instance->record.life.reason, vm_trouble_texts[VM_TROUBLE_PANIC]);
}

/* When the guest is up its boot is over, and its console may print anything. */
static bool is_booting(const struct instance *instance)
{
    return instance->record.life.state == VM_RUNNING && !instance->record.cloud_init_result &&
           !instance->record.silence[0];
}

/* See vm_landmarks.int3. */
static bool is_qemus_race(const struct instance *instance)
{
    return boot_landmarks(instance)->int3 && instance->record.accel == VM_ACCEL_TCG &&
           instance->record.spec.cpus > 1;
}

bool trouble_begin_again(struct instance *instance)
{
    const struct vm_record *record = &instance->record;
    if (!is_qemus_race(instance) || record->booted || record->life.begun_again ||
        record->life.state != VM_RUNNING || !monitor_is_usable(instance))
        return false;
    journal_note(instance,
                 "its kernel died by a race in QEMU, which emulates several processors here (int3): "
                 "the boot is begun again, once");
    instance->boot.trouble.begins_again = true;
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_PANICKED, .again = true});
    return true;
}

static void tell_stuck(struct instance *instance)
{
    const struct vm_landmarks *seen = boot_landmarks(instance);
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
    instance->boot.trouble.stuck = true;
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
    else if (boot_landmarks(instance)->trouble && is_booting(instance) && !trouble_has_panicked(instance) &&
             !trouble_begin_again(instance))
        tell_stuck(instance);
}

void trouble_heard(struct instance *instance)
{
    enum vm_trouble trouble = boot_landmarks(instance)->trouble;
    if (!trouble || instance->boot.trouble.stuck)
        return;
    if (!instance->boot.trouble.timer)
        instance->boot.trouble.timer = timer_new(instance->host->loop, on_silence, instance);
    bool patient = trouble == VM_TROUBLE_INT3 || instance->record.cloud_init_stage[0];
    if (instance->boot.trouble.timer)
        timer_set(instance->boot.trouble.timer, patient ? LONG_SILENCE_MS : SILENCE_MS);
}

void trouble_over(struct instance *instance)
{
    boot_forget_trouble(instance);
    timer_clear(instance->boot.trouble.timer);
    if (!instance->boot.trouble.stuck)
        return;
    instance->boot.trouble.stuck = false;
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_GOES_ON});
    journal_note(instance, "its boot goes on");
}
