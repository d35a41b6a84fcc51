/* SPDX-License-Identifier: MIT */
/* A stop under way: the rungs of its ladder (enum vm_rung), each with its time, its command and its
 * signal. */
#ifndef PIAGENT_INSTANCE_STOP_H
#define PIAGENT_INSTANCE_STOP_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/vm/life.h"

struct instance;
struct timer;

struct stop {
    struct timer *resend_timer, *rung_timer;
    enum vm_rung armed_rung; /* the one whose time runs */
    uint64_t since_ms;       /* CLOCK_MONOTONIC of the powerdown */
    unsigned presses;        /* of the power button, in this run */
    bool signal_told;        /* the journal says that piagent cannot send a signal to QEMU */
};

/* 0 or -ENOMEM. */
int stop_init(struct instance *instance);
void stop_reset(struct instance *instance);
void stop_done(struct instance *instance);

/* Carries out the actions of a stop: VM_DO_POWERDOWN, _QUIT, _TERM, _KILL, _ARM_RESEND, _ARM_RUNG. */
void stop_carry_out(struct instance *instance, unsigned actions);
/* The times of a stop that is asked for now; one that is under way keeps its own. 0 = the usual ones. */
void stop_set_times(struct instance *instance, uint64_t powerdown_ms, uint64_t step_ms);
/* Both timers off. */
void stop_disarm(struct instance *instance);

#endif
