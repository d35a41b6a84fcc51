/* SPDX-License-Identifier: MIT */
/*
 * The link to the guest agent in the guest. The guest's clock stands still while the guest is paused or
 * saved, or the host sleeps: the guest agent sets it right. If none answers, how far the clock may be behind is told.
 */
#ifndef PIAGENT_INSTANCE_GUEST_LINK_H
#define PIAGENT_INSTANCE_GUEST_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/vm/state.h"
#include "qmp/guest_agent.h"

struct channel;
struct instance;
struct timer;

struct guest_link {
    struct channel *channel;  /* NULL: the QEMU has none */
    struct guest_clock clock; /* what is being said about the clock */
    struct timer *timer;      /* for its answer */
    uint64_t paused_ms;       /* CLOCK_BOOTTIME of the pause; 0 = it is not paused, or that was not seen */
    uint64_t stood_ms;        /* how long the guest stood still; 0 = unknown */
    int64_t off_ms;           /* its clock less the host's, as far as known, and not set right */
};

void guest_link_reset(struct instance *instance);
void guest_link_done(struct instance *instance);

void guest_link_connect(struct instance *instance);
/* Has the guest agent set the clock right if it is off; stood_ms: how long the guest stood still, 0 =
 * unknown. */
void guest_link_check_clock(struct instance *instance, uint64_t stood_ms);
/* To be called after each change of state, with the one before. */
void guest_link_note_pause(struct instance *instance, enum vm_state before);
/* A boot takes the time from the instance's own clock. */
void guest_link_forget_clock(struct instance *instance);
/* The clock less the host's, if it is known to be off and could not be set; else 0. */
int64_t guest_link_clock_off_ms(const struct instance *instance);
/* Asks the guest agent to power the guest off in order. */
void guest_link_power_down(struct instance *instance);

#endif
