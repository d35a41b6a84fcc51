/* SPDX-License-Identifier: MIT */
/* How long to wait before something is tried again: later each time. */
#ifndef PIAGENT_LOOP_BACKOFF_H
#define PIAGENT_LOOP_BACKOFF_H

#include <stdint.h>

/* Twice the last delay (0 = there was none), at most max_ms; min_ms if what was tried last worked for a
 * while. The times are CLOCK_MONOTONIC. */
static inline uint64_t backoff_next_ms(uint64_t last_ms, uint64_t tried_ms, uint64_t now_ms, uint64_t min_ms,
                                       uint64_t max_ms)
{
    if (!last_ms || now_ms - tried_ms > max_ms)
        return min_ms;
    return 2 * last_ms < max_ms ? 2 * last_ms : max_ms;
}

#endif
