/* SPDX-License-Identifier: MIT */
/* The host's sleep: while it sleeps the guests' clocks stand still. */
#ifndef PIAGENT_DAEMON_SLEEP_H
#define PIAGENT_DAEMON_SLEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/error.h"

struct agent;

/* How long the host had slept since its boot, at the last look. Zeroed memory: there was no look yet. */
struct host_sleep {
    bool known;
    uint64_t asleep_ms;
};

/* How long the host slept since this was last asked; pure. 0 at the first time. */
uint64_t host_slept_ms(struct host_sleep *sleep, uint64_t boottime_ms, uint64_t monotonic_ms);

/* From now on, every ten seconds: if the host has slept, the guests' clocks are set right; and QEMUs' logs
 * are kept below their size. */
int agent_watch_sleep(struct agent *agent, struct pi_error *err);

#endif
