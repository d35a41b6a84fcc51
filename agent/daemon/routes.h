/* SPDX-License-Identifier: MIT */
/* The control API's operations (api/operations.h), and what the agent does for each. */
#ifndef PIAGENT_DAEMON_ROUTES_H
#define PIAGENT_DAEMON_ROUTES_H

struct api_call;

/* Answers one request; agent is a struct agent. */
void agent_route(struct api_call *call, void *agent);

#endif
