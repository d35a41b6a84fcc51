/* SPDX-License-Identifier: MIT */
#include "agent/instance/stop.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/text.h"
#include "agent/instance/instance.h"
#include "agent/loop/loop.h"

#define STEP_MS          10000 /* for quit, and for each signal */
#define RESEND_MS        3000
#define POWERDOWN_MS     90000
#define POWERDOWN_CAP_MS 600000

static void on_resend(void *user)
{
    instance_feed(user, &(struct vm_event){.type = VM_EVENT_RESEND});
}

static uint64_t rung_ms(const struct vm_record *record)
{
    if (record->life.rung == VM_RUNG_POWERDOWN)
        return record->powerdown_ms ? record->powerdown_ms : POWERDOWN_MS;
    return record->step_ms ? record->step_ms : STEP_MS;
}

static void rung_expired(struct instance *instance)
{
    enum vm_rung rung = instance->record.life.rung;
    char took[32];
    if (rung < VM_RUNG_KILL)
        journal_note(instance, "%s did not end QEMU within %s: next is %s", vm_rung_names[rung],
                     pi_duration_format(rung_ms(&instance->record), took), vm_rung_names[rung + 1]);
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_RUNG_EXPIRED});
}

/* A guest that still prints or reports is slow, not dead. Unless the user set a time, the time of a powerdown
 * counts from the guest's last sign of life. */
static void on_rung(void *user)
{
    struct instance *instance = user;
    uint64_t now = pi_monotonic_ms();
    if (instance->record.life.rung == VM_RUNG_POWERDOWN && !instance->record.powerdown_ms) {
        uint64_t sign = guest_sign_monotonic_ms(instance), since = instance->stop.since_ms;
        uint64_t quiet = now - (sign > since ? sign : since), asked = now - since;
        if (quiet < POWERDOWN_MS && asked < POWERDOWN_CAP_MS) {
            timer_set(instance->stop.rung_timer, POWERDOWN_MS - quiet);
            return;
        }
    }
    rung_expired(instance);
}

int stop_init(struct instance *instance)
{
    struct stop *stop = &instance->stop;
    stop->resend_timer = timer_new(instance->host->loop, on_resend, instance);
    stop->rung_timer = timer_new(instance->host->loop, on_rung, instance);
    return stop->resend_timer && stop->rung_timer ? 0 : -ENOMEM;
}

void stop_disarm(struct instance *instance)
{
    timer_clear(instance->stop.resend_timer);
    timer_clear(instance->stop.rung_timer);
}

void stop_reset(struct instance *instance)
{
    stop_disarm(instance);
    instance->stop.presses = 0;
    instance->stop.signal_told = false;
}

void stop_done(struct instance *instance)
{
    timer_free(instance->stop.resend_timer);
    timer_free(instance->stop.rung_timer);
}

void stop_set_times(struct instance *instance, uint64_t powerdown_ms, uint64_t step_ms)
{
    if (instance->record.life.state == VM_STOPPING)
        return;
    instance->record.powerdown_ms = powerdown_ms;
    instance->record.step_ms = step_ms;
}

static void press_power_button(struct instance *instance)
{
    if (!monitor_command(instance, QMP_SYSTEM_POWERDOWN))
        return;
    /* A guest that was suspended may have lost its ACPI registers (seen with QEMU 7.2, q35 and SeaBIOS 1.16).
     * Then it does not hear the button, and cannot switch itself off. Its guest agent, if there is one, shuts
     * it down in order; quit ends QEMU after that. */
    if (milestones_has_slept(instance))
        guest_link_power_down(instance);
    instance->stop.presses++;
    /* The first press is told, then one every half a minute. */
    if (instance->stop.presses == 1)
        journal_note(instance, "the guest was asked to power off");
    else if (instance->stop.presses % 10 == 1)
        journal_note(instance, "the guest does not power off yet: asked %u times", instance->stop.presses);
}

static void signal_qemu(struct instance *instance, int signal)
{
    int r = process_signal(instance, signal);
    if (r == 0) {
        journal_note(instance, "%s sent to QEMU", signal == SIGTERM ? "SIGTERM" : "SIGKILL");
    } else if (!instance->stop.signal_told) { /* the last rung repeats as long as QEMU runs */
        journal_note(
            instance,
            "piagent cannot send a signal to QEMU (process %u): %s. To try again with a new agent: piagent agent "
            "stop",
            (unsigned)instance->record.pid, strerror(-r));
        instance->stop.signal_told = true;
    }
}

/* If the monitor comes back in the middle of a rung, the rung gets no more time: else a monitor that breaks
 * off again and again would make the stop endless. */
static void arm_rung(struct instance *instance)
{
    enum vm_rung rung = instance->record.life.rung;
    if (timer_is_set(instance->stop.rung_timer) && instance->stop.armed_rung == rung)
        return;
    if (rung == VM_RUNG_POWERDOWN)
        instance->stop.since_ms = pi_monotonic_ms();
    if (rung <= VM_RUNG_QUIT && !monitor_is_connected(instance))
        journal_note(instance, "QEMU's monitor is not connected now: %s waits for it", vm_rung_names[rung]);
    instance->stop.armed_rung = rung;
    timer_set(instance->stop.rung_timer, rung_ms(&instance->record));
}

void stop_carry_out(struct instance *instance, unsigned actions)
{
    if (actions & VM_DO_POWERDOWN)
        press_power_button(instance);
    if (actions & VM_DO_QUIT)
        monitor_command(instance, QMP_QUIT);
    if (actions & VM_DO_TERM)
        signal_qemu(instance, SIGTERM);
    if (actions & VM_DO_KILL)
        signal_qemu(instance, SIGKILL);
    if (actions & VM_DO_ARM_RESEND)
        timer_set(instance->stop.resend_timer, RESEND_MS);
    if (actions & VM_DO_ARM_RUNG)
        arm_rung(instance);
}
