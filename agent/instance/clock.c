/* SPDX-License-Identifier: MIT */
/* The guest's clock: it stands still while the guest is paused or the host sleeps. The guest agent in the
 * guest sets it right; where none answers, how far it may be behind is told. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/instance/instance.h"
#include "agent/loop/log.h"

#define ANSWER_MS    20000u /* an emulated guest that wakes up is slow */
#define TOLERANCE_MS 1000u

static const char *span(int64_t ms, char buf[32])
{
    return pi_duration_format((uint64_t)(ms < 0 ? -ms : ms) / 1000 * 1000, buf);
}

static void end(struct instance *instance)
{
    instance->guest_clock.step = GUEST_CLOCK_NONE;
    timer_clear(instance->clock_timer);
}

static void tell_unset(struct instance *instance, int64_t off_ms, const char *why)
{
    const char *name = instance->record.spec.name;
    char buf[32];
    end(instance);
    instance->clock_off_ms = off_ms;
    journal_note(instance,
                 "its clock %s %s%s, and %s: to set it: piagent ssh %s -- sudo date -s @$(date +%%s)",
                 off_ms ? "is about" : "may be off: how far is not known", off_ms ? span(off_ms, buf) : "",
                 !off_ms      ? ""
                 : off_ms < 0 ? " behind"
                              : " ahead",
                 why, name);
}

static void tell_done(struct instance *instance)
{
    const struct guest_clock *clock = &instance->guest_clock;
    char buf[32];
    if (clock->offset_ms > (int64_t)TOLERANCE_MS || clock->offset_ms < -(int64_t)TOLERANCE_MS) {
        tell_unset(instance, clock->offset_ms, "the guest agent in it could not set it");
        return;
    }
    end(instance);
    instance->clock_off_ms = 0;
    if (clock->was_ms != clock->offset_ms)
        journal_note(instance, "its clock was %s %s and was set", span(clock->was_ms, buf),
                     clock->was_ms < 0 ? "behind" : "ahead");
}

static void on_output(const char *bytes, size_t size, void *user)
{
    struct instance *instance = user;
    struct guest_clock *clock = &instance->guest_clock;
    guest_clock_receive(clock, bytes, size, pi_realtime_ms());
    if (clock->request[0])
        channel_type(instance->guest_agent, clock->request, strlen(clock->request));
    else if (clock->step == GUEST_CLOCK_DONE)
        tell_done(instance);
    else if (clock->step == GUEST_CLOCK_FAILED)
        tell_unset(instance, -(int64_t)instance->stood_ms, "the guest agent in it gives no proper answer");
}

static void on_no_answer(void *user)
{
    struct instance *instance = user;
    tell_unset(instance, -(int64_t)instance->stood_ms, "no guest agent in it answers");
}

void instance_connect_guest_agent(struct instance *instance)
{
    static const struct channel_handler handler = {.output = on_output};
    struct instance_place place;
    instance_find_socket(instance, INSTANCE_GUEST_AGENT, &place);
    if (!instance->guest_agent) /* a machine that an older piagent started has none */
        channel_new(instance->host->loop, place.folder, place.name, &handler, instance,
                    &instance->guest_agent, NULL);
}

void instance_check_clock(struct instance *instance, uint64_t stood_ms)
{
    if (!instance->clock_timer)
        instance->clock_timer = timer_new(instance->host->loop, on_no_answer, instance);
    if (!instance->clock_timer)
        return;
    instance->stood_ms = stood_ms;
    guest_clock_start(&instance->guest_clock, pi_monotonic_ms(), TOLERANCE_MS, pi_realtime_ms());
    if (instance->guest_agent)
        channel_type(instance->guest_agent, instance->guest_clock.request,
                     strlen(instance->guest_clock.request));
    timer_set(instance->clock_timer, instance->guest_agent ? ANSWER_MS : 0);
}

bool instance_runs(const struct instance *instance)
{
    return instance->record.life.state == VM_RUNNING || instance->record.life.state == VM_READY;
}

/* A second is what a guest's own timekeeping mends, and less than what a person would notice. */
void instance_note_pause(struct instance *instance, bool stood_still)
{
    uint64_t now = pi_clock_ns(CLOCK_BOOTTIME) / 1000000u;
    bool stands_still = vm_state_stands_still(instance->record.life.state);
    if (stands_still && !stood_still)
        instance->paused_ms = now;
    else if (stood_still && instance_runs(instance) &&
             (!instance->paused_ms || now - instance->paused_ms > TOLERANCE_MS))
        instance_check_clock(instance, instance->paused_ms ? now - instance->paused_ms : 0);
    if (!stands_still)
        instance->paused_ms = 0;
}
