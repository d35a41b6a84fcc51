/* SPDX-License-Identifier: MIT */
/* The two clocks. Everything that can is given the time instead. */
#ifndef PIAGENT_BASE_CLOCK_H
#define PIAGENT_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t pi_clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* CLOCK_MONOTONIC in milliseconds: for deadlines. */
static inline uint64_t pi_monotonic_ms(void)
{
    return pi_clock_ns(CLOCK_MONOTONIC) / 1000000u;
}

/* CLOCK_REALTIME in milliseconds since 1970: for people and records. */
static inline uint64_t pi_realtime_ms(void)
{
    return pi_clock_ns(CLOCK_REALTIME) / 1000000u;
}

#endif
