/* SPDX-License-Identifier: MIT */
/* A loop to test with, that a test cannot hang in. */
#ifndef TESTS_UNIT_LOOP_FIXTURE_H
#define TESTS_UNIT_LOOP_FIXTURE_H

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/loop/loop.h"

#define LOOP_DEADLINE_MS 20000u

static inline void loop_tick(void *user)
{
    timer_set(*(struct timer **)user, 10);
}

/* Runs the loop until done becomes true; false if it does not in time. */
static inline bool loop_run_until(uv_loop_t *loop, const bool *done)
{
    struct timer *tick = NULL;
    uint64_t end = pi_monotonic_ms() + LOOP_DEADLINE_MS;
    tick = timer_new(loop, loop_tick, &tick);
    timer_set(tick, 10);
    while (!*done && pi_monotonic_ms() < end)
        uv_run(loop, UV_RUN_ONCE);
    timer_free(tick);
    return *done;
}

/* Everything must have been freed by now: a handle left over is a failure. */
static inline int loop_close(uv_loop_t *loop)
{
    for (int i = 0; i < 10; i++)
        uv_run(loop, UV_RUN_NOWAIT);
    return uv_loop_close(loop);
}

#endif
