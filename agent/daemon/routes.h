/* SPDX-License-Identifier: MIT */
/* From a request of the control API to its handler: path, method, query, name and body are checked on the way. */
#ifndef PIAGENT_DAEMON_ROUTES_H
#define PIAGENT_DAEMON_ROUTES_H

struct api_call;

/* Answers one request; agent is a struct agent. */
void agent_route(struct api_call *call, void *agent);

#endif
