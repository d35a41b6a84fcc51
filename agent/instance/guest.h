/* SPDX-License-Identifier: MIT */
/*
 * Notes the guest's signs of life, and handles its requests to the IMDS: it fetches its seed, and its
 * cloud-init reports. All that a guest sends is hostile until cleaned and bounded.
 */
#ifndef PIAGENT_INSTANCE_GUEST_H
#define PIAGENT_INSTANCE_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/loop/budget.h"

struct imds_handler;
struct instance;
struct timer;

struct guest {
    struct timer *sign_timer;   /* set while a first sign of life is awaited under KVM */
    bool sign_seen;             /* since QEMU's start */
    uint64_t sign_monotonic_ms; /* of the last sign of life; 0 = none */
    uint64_t sign_realtime_ms;  /* the same by CLOCK_REALTIME; a later run keeps it */
    struct budget reports;      /* a guest may not write the journal as fast as it can */
};

/* 0 or -ENOMEM. */
int guest_init(struct instance *instance);
void guest_reset(struct instance *instance);
void guest_done(struct instance *instance);

/* The guest showed that it lives. */
void guest_showed_sign(struct instance *instance);
/* CLOCK_MONOTONIC and CLOCK_REALTIME of its last sign of life; 0 = none. */
uint64_t guest_sign_monotonic_ms(const struct instance *instance);
uint64_t guest_sign_realtime_ms(const struct instance *instance);
/* Under KVM: VM_EVENT_NO_SIGN comes unless the guest shows life in time. */
void guest_await_sign(struct instance *instance);
/* The guest is one that has run before this agent. */
void guest_is_up(struct instance *instance);

/* Callbacks of the IMDS, whose owners are instances. */
extern const struct imds_handler guest_imds_handler;

/* Of a guest that an agent was told is ready, and that was killed when its journal said so and the record did not yet. */
void guest_recall_end(struct instance *instance);
/* The reboot that its cloud-init had announced does not come: its boot is over (record.held_result). */
void guest_stays(struct instance *instance);

#endif
