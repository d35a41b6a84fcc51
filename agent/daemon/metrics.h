/* SPDX-License-Identifier: MIT */
/*
 * The metrics: what the agent and the instances do and use, in Prometheus' text format. They are made when somebody
 * asks, and cost nothing otherwise. A label's values are names of instances, states and what an instance was made of,
 * so that there are as many series as instances times a constant.
 */
#ifndef PIAGENT_DAEMON_METRICS_H
#define PIAGENT_DAEMON_METRICS_H

struct agent;
struct api_call;

/* Answers a call with them: GET /v1/metrics. */
void metrics_reply(struct agent *agent, struct api_call *call);

#endif
