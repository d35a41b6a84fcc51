/* SPDX-License-Identifier: MIT */
#include "agent/instance/guest_link.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/text.h"
#include "agent/instance/instance.h"
#include "agent/instance/qemu_sockets.h"
#include "agent/loop/channel.h"
#include "agent/loop/loop.h"

#define ANSWER_MS    20000u /* an emulated guest that wakes up is slow */
#define TOLERANCE_MS 1000u

void guest_link_reset(struct instance *instance)
{
    struct guest_link *link = &instance->guest_link;
    timer_clear(link->timer);
    channel_free(pi_steal(link->channel));
    link->clock.step = GUEST_CLOCK_NONE;
    link->off_ms = 0;
}

void guest_link_done(struct instance *instance)
{
    timer_free(instance->guest_link.timer);
}

void guest_link_forget_clock(struct instance *instance)
{
    instance->guest_link.off_ms = 0;
}

int64_t guest_link_clock_off_ms(const struct instance *instance)
{
    return instance->guest_link.off_ms;
}

void guest_link_power_down(struct instance *instance)
{
    if (instance->guest_link.channel)
        channel_type(instance->guest_link.channel, GUEST_AGENT_POWERDOWN, sizeof GUEST_AGENT_POWERDOWN - 1);
}

static const char *span(int64_t ms, char buf[32])
{
    return pi_duration_format((uint64_t)(ms < 0 ? -ms : ms) / 1000 * 1000, buf);
}

static void end_dialog(struct instance *instance)
{
    instance->guest_link.clock.step = GUEST_CLOCK_NONE;
    timer_clear(instance->guest_link.timer);
}

static void tell_unset(struct instance *instance, int64_t off_ms, const char *why)
{
    const char *name = instance->record.spec.name;
    char buf[32];
    end_dialog(instance);
    instance->guest_link.off_ms = off_ms;
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
    const struct guest_clock *clock = &instance->guest_link.clock;
    char buf[32];
    if (clock->offset_ms > (int64_t)TOLERANCE_MS || clock->offset_ms < -(int64_t)TOLERANCE_MS) {
        tell_unset(instance, clock->offset_ms, "the guest agent in it could not set it");
        return;
    }
    end_dialog(instance);
    instance->guest_link.off_ms = 0;
    if (clock->was_ms != clock->offset_ms)
        journal_note(instance, "its clock was %s %s and was set", span(clock->was_ms, buf),
                     clock->was_ms < 0 ? "behind" : "ahead");
}

static void on_agent_output(const char *bytes, size_t size, void *user)
{
    struct instance *instance = user;
    struct guest_clock *clock = &instance->guest_link.clock;
    guest_clock_receive(clock, bytes, size, pi_realtime_ms());
    if (clock->request[0])
        channel_type(instance->guest_link.channel, clock->request, strlen(clock->request));
    else if (clock->step == GUEST_CLOCK_DONE)
        tell_done(instance);
    else if (clock->step == GUEST_CLOCK_FAILED)
        tell_unset(instance, -(int64_t)instance->guest_link.stood_ms,
                   "the guest agent in it gives no proper answer");
}

static void on_no_answer(void *user)
{
    struct instance *instance = user;
    tell_unset(instance, -(int64_t)instance->guest_link.stood_ms, "no guest agent in it answers");
}

void guest_link_connect(struct instance *instance)
{
    static const struct channel_handler handler = {.output = on_agent_output};
    struct qemu_socket_place place;
    qemu_sockets_find(instance, QEMU_SOCKET_GUEST_AGENT, &place);
    if (!instance->guest_link.channel) /* a QEMU that an older piagent started has none */
        channel_new(instance->host->loop, place.folder, place.name, &handler, instance,
                    &instance->guest_link.channel, NULL);
}

void guest_link_check_clock(struct instance *instance, uint64_t stood_ms)
{
    if (!instance->guest_link.timer)
        instance->guest_link.timer = timer_new(instance->host->loop, on_no_answer, instance);
    if (!instance->guest_link.timer)
        return;
    instance->guest_link.stood_ms = stood_ms;
    guest_clock_start(&instance->guest_link.clock, pi_monotonic_ms(), TOLERANCE_MS, pi_realtime_ms());
    if (instance->guest_link.channel)
        channel_type(instance->guest_link.channel, instance->guest_link.clock.request,
                     strlen(instance->guest_link.clock.request));
    timer_set(instance->guest_link.timer, instance->guest_link.channel ? ANSWER_MS : 0);
}

/* 0 = unknown. If this agent did not see how the guest was saved, or a snapshot was restored, the record tells when it was. */
static uint64_t stood_for(const struct instance *instance, enum vm_state before, uint64_t now_boottime_ms)
{
    uint64_t paused = instance->guest_link.paused_ms, now = pi_realtime_ms();
    uint64_t saved = vm_state_is_saved(before) ? instance->record.stopped_ms : 0;
    uint64_t seen = paused ? now_boottime_ms - paused : 0, on_record = saved && now > saved ? now - saved : 0;
    return seen > on_record ? seen : on_record;
}

/* The guest's own timekeeping mends a second, and nobody would notice it. The time is part of an identity. */
void guest_link_note_pause(struct instance *instance, enum vm_state before)
{
    uint64_t now = pi_clock_ns(CLOCK_BOOTTIME) / 1000000u;
    bool stands_still = vm_state_rests(instance->record.life.state), stood_still = vm_state_rests(before);
    if (stands_still && !stood_still) {
        instance->guest_link.paused_ms = now;
    } else if (stood_still && instance_runs(instance) && !instance->record.identity_due) {
        uint64_t stood_ms = stood_for(instance, before, now);
        if (!stood_ms || stood_ms > TOLERANCE_MS)
            guest_link_check_clock(instance, stood_ms);
    }
    if (!stands_still)
        instance->guest_link.paused_ms = 0;
}
