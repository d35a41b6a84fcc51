/* SPDX-License-Identifier: MIT */
/* Reports a fetch's progress to the caller, not too often, and tells the fetch if the caller wants to
 * cancel. */
#ifndef PIAGENT_IMAGE_METER_H
#define PIAGENT_IMAGE_METER_H

#include <signal.h>
#include <stdbool.h>

#include "agent/base/error.h"
#include "agent/image/progress.h"

struct image_meter {
    image_progress_fn report; /* may be NULL */
    void *user;
    const volatile sig_atomic_t *cancel; /* may be NULL */
    struct image_progress now;
    uint64_t phase_done_bytes; /* done at the first step of the phase; the rate counts from there */
    uint64_t phase_ms, reported_ms;
};

/* Begins a phase, and reports it at once. total_bytes 0 = unknown. */
void image_meter_phase(struct image_meter *meter, enum image_phase phase, uint64_t total_bytes);

/* Tells the progress inside the phase. */
void image_meter_step(struct image_meter *meter, uint64_t done_bytes, uint64_t total_bytes);

bool image_meter_cancelled(const struct image_meter *meter);

/* Returns -ECANCELED, with its message. */
int image_meter_give_up(const struct image_meter *meter, struct pi_error *err);

#endif
