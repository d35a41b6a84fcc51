/* SPDX-License-Identifier: MIT */
/*
 * The metrics: what the agent and the instances do and use, in Prometheus' text format. They are made when somebody
 * asks, and cost nothing otherwise. A label's values are names of instances, states and what an instance was made of,
 * so that there are as many series as instances times a constant.
 */
#ifndef PIAGENT_DAEMON_METRICS_H
#define PIAGENT_DAEMON_METRICS_H

#include <stdint.h>

#include "agent/base/buf.h"

struct agent;
struct api_call;

#define METRICS_AGE_MS 1000

/* The metrics as they were at made_ms (CLOCK_MONOTONIC). Zeroed memory: they were never made. */
struct metrics_page {
    struct pi_buf text;
    uint64_t made_ms;
};

/* Makes them anew, unless they are younger than METRICS_AGE_MS: however many ask, that costs the agent what one costs who
 * asks each second. 0 or -ENOMEM, and then *page is as it was. */
int metrics_refresh(const struct agent *agent, uint64_t now_ms, struct metrics_page *page);

/* Answers a call with the page, refreshed. */
void metrics_reply_page(const struct agent *agent, struct metrics_page *page, struct api_call *call);

/* Answers a call with them as they are now: GET /v1/metrics. */
void metrics_reply(struct agent *agent, struct api_call *call);

#endif
