/* SPDX-License-Identifier: MIT */
#include "agent/instance/silence_watch.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/paths.h"
#include "agent/instance/guest.h"
#include "agent/instance/instance.h"
#include "agent/loop/log.h"
#include "agent/loop/loop.h"
#include "agent/vm/silence.h"

#define BANNER_MS   20000u /* an emulated server is slow to say who it is */
#define LOOK_MIN_MS 1000u  /* between two looks; doubles each time, up to: */
#define LOOK_MAX_MS 60000u

void silence_init(struct instance *instance)
{
    instance->silence.look_fd = -1;
}

void silence_done(struct instance *instance)
{
    timer_free(instance->silence.timer);
}

static bool is_open(const struct instance *instance)
{
    const struct vm_record *record = &instance->record;
    return record->life.state == VM_RUNNING && !record->cloud_init_result && !record->silence[0] &&
           !trouble_is_stuck(instance) && !trouble_has_panicked(instance);
}

static bool has_reported(const struct instance *instance)
{
    return instance->record.cloud_init_stage[0] || milestones_has(instance, VM_MILESTONE_NETWORK) ||
           milestones_has(instance, VM_MILESTONE_CONFIG) || milestones_has(instance, VM_MILESTONE_FINAL);
}

static struct vm_silence gather_signs(const struct instance *instance)
{
    return (struct vm_silence){
        .console = boot_landmarks(instance),
        .missed = instance->record.boot_ms < instance->host->started_ms && !instance->silence.heard_report,
        .resumed = milestones_has_resumed(instance),
        .seeded = milestones_has(instance, VM_MILESTONE_SEED),
        .reported = has_reported(instance),
        .announced = instance->record.held_result != IMDS_RESULT_NONE,
        .booted = instance->record.booted,
        .heard_ms = instance->silence.heard_ms,
        .printed_ms = instance->silence.printed_ms,
    };
}

static void drop_look(struct instance *instance)
{
    watch_free(pi_steal(instance->silence.look_watch));
    pi_close_p(&instance->silence.look_fd);
    instance->silence.look_fd = -1;
}

void silence_reset(struct instance *instance)
{
    drop_look(instance);
    timer_clear(instance->silence.timer);
}

static void tell_silent(struct instance *instance)
{
    const struct vm_silence silence = gather_signs(instance);
    struct vm_record *record = &instance->record;
    snprintf(record->silence, sizeof record->silence, "%s", vm_silence_cause(&silence));
    log_line("%s: its SSH server answers, and cloud-init did not report: %s", record->spec.name,
             record->silence);
    store_expect_save(instance);
    journal_add(instance, &(struct api_event){.kind = API_EVENT_SILENT, .text = record->silence});
    store_save(instance);
}

static void look_again(struct instance *instance)
{
    uint64_t delay_ms = instance->silence.look_delay_ms ? instance->silence.look_delay_ms : LOOK_MIN_MS;
    bool gives_up = instance->record.held_result && is_open(instance) &&
                    pi_monotonic_ms() > instance->silence.heard_ms + VM_NO_REBOOT_MS;
    drop_look(instance);
    instance->silence.look_delay_ms = 2 * delay_ms < LOOK_MAX_MS ? 2 * delay_ms : LOOK_MAX_MS;
    if (gives_up)
        guest_stays(instance);
    else
        timer_set(instance->silence.timer, delay_ms);
}

static void on_ssh_answer(void *user)
{
    struct instance *instance = user;
    char said[4] = "";
    ssize_t n = recv(instance->silence.look_fd, said, sizeof said, MSG_DONTWAIT);
    if (n != (ssize_t)sizeof said || memcmp(said, "SSH-", sizeof said) != 0 || !is_open(instance)) {
        look_again(instance);
        return;
    }
    silence_reset(instance);
    if (instance->record.held_result)
        guest_stays(instance);
    else
        tell_silent(instance);
}

/* QEMU accepts the connection before the guest does, so only the server's own greeting counts. */
static void connect_to_ssh(struct instance *instance)
{
    instance->silence.look_fd = pi_loopback_connect((uint16_t)instance->record.spec.ssh_port);
    if (instance->silence.look_fd < 0 ||
        !(instance->silence.look_watch =
              watch_new(instance->host->loop, instance->silence.look_fd, on_ssh_answer, instance)))
        look_again(instance);
    else
        timer_set(instance->silence.timer, BANNER_MS);
}

static void on_silence_timer(void *user)
{
    struct instance *instance = user;
    const struct vm_silence silence = gather_signs(instance);
    uint64_t now = pi_monotonic_ms(), end = vm_silence_end_ms(&silence);
    if (instance->silence.look_watch)
        look_again(instance);
    else if (vm_state_stands_still(instance->record.life.state) || instance->record.set_up_due)
        silence_begin(instance);
    else if (is_open(instance) && now < end)
        timer_set(instance->silence.timer, end - now);
    else if (is_open(instance))
        connect_to_ssh(instance);
}

void silence_begin(struct instance *instance)
{
    instance->silence.heard_ms = pi_monotonic_ms();
    instance->silence.look_delay_ms = 0;
    drop_look(instance);
    if (!instance->silence.timer)
        instance->silence.timer = timer_new(instance->host->loop, on_silence_timer, instance);
    if (instance->silence.timer)
        timer_set(instance->silence.timer, VM_SILENCE_MS);
}

void silence_note_print(struct instance *instance)
{
    instance->silence.printed_ms = pi_monotonic_ms();
}

void silence_over(struct instance *instance)
{
    silence_begin(instance);
    instance->silence.heard_report = true;
    if (!instance->record.silence[0])
        return;
    instance->record.silence[0] = '\0';
    journal_note(instance, "its cloud-init goes on after all");
    store_save(instance);
}
