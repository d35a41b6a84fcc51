/* SPDX-License-Identifier: MIT */
/*
 * A conversation with qemu-guest-agent about the guest's clock, without I/O of its own, one at a time. It
 * synchronizes (guest-sync-delimited) and asks for the time (guest-get-time). If the guest's clock is off by
 * more than the tolerance, it sets the clock (guest-set-time) and asks again. Source: the QEMU Guest Agent
 * Protocol Reference.
 *
 * The guest is hostile. A line has at most GUEST_AGENT_LINE_MAX bytes, a conversation GUEST_AGENT_BYTES_MAX.
 * Lines that do not belong to the conversation are ignored. The caller sets the deadline.
 */
#ifndef QMP_GUEST_AGENT_H
#define QMP_GUEST_AGENT_H

#include <stddef.h>
#include <stdint.h>

#define GUEST_AGENT_LINE_MAX  4096
#define GUEST_AGENT_BYTES_MAX 65536

/* A request outside of a conversation: the guest powers itself off. It answers only if it cannot. */
#define GUEST_AGENT_POWERDOWN "{\"execute\": \"guest-shutdown\", \"arguments\": {\"mode\": \"powerdown\"}}\n"

enum guest_clock_step {
    GUEST_CLOCK_NONE, /* no conversation: bytes are dropped */
    GUEST_CLOCK_SYNC,
    GUEST_CLOCK_GET,
    GUEST_CLOCK_SET,
    GUEST_CLOCK_VERIFY,
    GUEST_CLOCK_DONE,   /* .offset_ms is the difference now, .was_ms the one before */
    GUEST_CLOCK_FAILED, /* the guest broke the protocol, or cannot tell the time */
};

/* Zeroed memory is GUEST_CLOCK_NONE. */
struct guest_clock {
    enum guest_clock_step step;
    uint64_t id, tolerance_ms, asked_ms;
    int64_t was_ms,
        offset_ms; /* the guest's clock minus the host's; 0 if the time that the answer took explains the difference */
    size_t received, line_size;
    char line[GUEST_AGENT_LINE_MAX + 1];
    char request[160]; /* send this now; NUL-terminated, "" = nothing */
};

/* Begins a conversation. id is a number below 2^53 that no earlier conversation had. host_ms, here and below,
 * is CLOCK_REALTIME: the time that the guest should have. */
void guest_clock_start(struct guest_clock *clock, uint64_t id, uint64_t tolerance_ms, uint64_t host_ms);

/* Takes bytes from the guest agent. Afterwards send .request, unless it is empty. .step tells if the
 * conversation is over. */
void guest_clock_receive(struct guest_clock *clock, const char *bytes, size_t size, uint64_t host_ms);

#endif
