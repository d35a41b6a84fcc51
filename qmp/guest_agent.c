/* SPDX-License-Identifier: MIT */
#include "qmp/guest_agent.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define YEAR_9999_MS INT64_C(253402300800000)

static void ask_guest(struct guest_clock *clock, enum guest_clock_step step, uint64_t host_ms)
{
    clock->step = step;
    clock->asked_ms = host_ms;
    if (step == GUEST_CLOCK_SET)
        snprintf(clock->request, sizeof clock->request,
                 "{\"execute\":\"guest-set-time\",\"arguments\":{\"time\":%" PRIu64 "000000}}\n", host_ms);
    else
        snprintf(clock->request, sizeof clock->request, "{\"execute\":\"guest-get-time\"}\n");
}

void guest_clock_start(struct guest_clock *clock, uint64_t id, uint64_t tolerance_ms, uint64_t host_ms)
{
    *clock = (struct guest_clock){
        .step = GUEST_CLOCK_SYNC, .id = id, .tolerance_ms = tolerance_ms, .asked_ms = host_ms};
    /* The 0xFF makes the guest agent drop half a line that an earlier conversation may have sent. */
    snprintf(clock->request, sizeof clock->request,
             "\xff{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":%" PRIu64 "}}\n", id);
}

/* The guest read its clock at some moment between the question and now. Returns how far its answer lies
 * outside of that span. */
static int64_t guest_clock_offset(const struct guest_clock *clock, int64_t guest_ms, uint64_t host_ms)
{
    if (guest_ms < (int64_t)clock->asked_ms)
        return guest_ms - (int64_t)clock->asked_ms;
    return guest_ms > (int64_t)host_ms ? guest_ms - (int64_t)host_ms : 0;
}

static void on_time(struct guest_clock *clock, const json_t *value, uint64_t host_ms)
{
    int64_t guest_ms = json_integer_value(value) / 1000000;
    if (!json_is_integer(value) || json_integer_value(value) < 0 || guest_ms > YEAR_9999_MS) {
        clock->step = GUEST_CLOCK_FAILED;
        return;
    }
    clock->offset_ms = guest_clock_offset(clock, guest_ms, host_ms);
    if (clock->step == GUEST_CLOCK_GET)
        clock->was_ms = clock->offset_ms;
    uint64_t off = (uint64_t)(clock->offset_ms < 0 ? -clock->offset_ms : clock->offset_ms);
    if (clock->step == GUEST_CLOCK_GET && off > clock->tolerance_ms)
        ask_guest(clock, GUEST_CLOCK_SET, host_ms);
    else
        clock->step = GUEST_CLOCK_DONE;
}

static void on_guest_reply(struct guest_clock *clock, const json_t *reply, uint64_t host_ms)
{
    const json_t *value = json_object_get(reply, "return");
    bool error = json_object_get(reply, "error") != NULL;
    if (!value && !error)
        return;
    if (clock->step == GUEST_CLOCK_SYNC) {
        if (json_is_integer(value) && (uint64_t)json_integer_value(value) == clock->id)
            ask_guest(clock, GUEST_CLOCK_GET, host_ms);
    } else if (clock->step == GUEST_CLOCK_SET) {
        /* Also after an error: the guest agent sets the system clock first, and fails afterwards if the guest
         * has no hwclock. */
        ask_guest(clock, GUEST_CLOCK_VERIFY, host_ms);
    } else if (value) {
        on_time(clock, value, host_ms);
    } else {
        clock->step = GUEST_CLOCK_FAILED;
    }
}

static void on_guest_line(struct guest_clock *clock, uint64_t host_ms)
{
    json_t *reply = json_loadb(clock->line, clock->line_size, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(reply))
        on_guest_reply(clock, reply, host_ms);
    json_decref(reply);
}

static bool conversation_is_over(const struct guest_clock *clock)
{
    return clock->step == GUEST_CLOCK_NONE || clock->step >= GUEST_CLOCK_DONE;
}

void guest_clock_receive(struct guest_clock *clock, const char *bytes, size_t size, uint64_t host_ms)
{
    clock->request[0] = '\0';
    for (const char *end = bytes + size; bytes < end && !conversation_is_over(clock); bytes++) {
        if (*bytes == '\n')
            on_guest_line(clock, host_ms);
        if (*bytes == '\n' || *bytes == '\xff')
            clock->line_size = 0;
        else if (clock->line_size < GUEST_AGENT_LINE_MAX)
            clock->line[clock->line_size++] = *bytes;
        else
            clock->step = GUEST_CLOCK_FAILED;
        if (++clock->received > GUEST_AGENT_BYTES_MAX)
            clock->step = GUEST_CLOCK_FAILED;
    }
    if (conversation_is_over(clock))
        clock->request[0] = '\0';
}
