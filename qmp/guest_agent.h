/* SPDX-License-Identifier: MIT */
/*
 * A conversation with qemu-guest-agent about the guest's clock: sans-I/O, one at a time. It synchronizes
 * (guest-sync-delimited), asks for the time (guest-get-time), and where that is off by more than the
 * tolerance sets it (guest-set-time) and asks again. The protocol is the QEMU Guest Agent Protocol
 * Reference's.
 *
 * The other side is the guest, and hostile: a line has at most GUEST_AGENT_LINE_MAX bytes, a conversation
 * GUEST_AGENT_BYTES_MAX; what does not belong to it is passed over. How long it may take is the caller's to
 * say.
 */
#ifndef QMP_GUEST_AGENT_H
#define QMP_GUEST_AGENT_H

#include <stddef.h>
#include <stdint.h>

#define GUEST_AGENT_LINE_MAX  4096
#define GUEST_AGENT_BYTES_MAX 65536

/* A request of its own: the guest powers itself off. Not answered where it is carried out. */
#define GUEST_AGENT_POWERDOWN "{\"execute\": \"guest-shutdown\", \"arguments\": {\"mode\": \"powerdown\"}}\n"

enum guest_clock_step {
    GUEST_CLOCK_NONE, /* no conversation: bytes are dropped */
    GUEST_CLOCK_SYNC,
    GUEST_CLOCK_GET,
    GUEST_CLOCK_SET,
    GUEST_CLOCK_VERIFY,
    GUEST_CLOCK_DONE,   /* .offset_ms is what it is off by now, .was_ms what it was */
    GUEST_CLOCK_FAILED, /* it does not keep to the protocol, or cannot tell the time */
};

/* Zeroed memory is GUEST_CLOCK_NONE. */
struct guest_clock {
    enum guest_clock_step step;
    uint64_t id, tolerance_ms, asked_ms;
    int64_t was_ms,
        offset_ms; /* the guest's clock less the host's; what the answer's way may account for is left out */
    size_t received, line_size;
    char line[GUEST_AGENT_LINE_MAX + 1];
    char request[160]; /* to be sent now, NUL-terminated; "" = nothing */
};

/* Begins one. id is any number that no conversation before it had, below 2^53. host_ms is CLOCK_REALTIME here
 * and below: the time that the guest is to have. */
void guest_clock_start(struct guest_clock *clock, uint64_t id, uint64_t tolerance_ms, uint64_t host_ms);

/* Takes what the guest agent sent. Then .request is to be sent, unless it is empty, and .step tells whether
 * it is over. */
void guest_clock_receive(struct guest_clock *clock, const char *bytes, size_t size, uint64_t host_ms);

#endif
