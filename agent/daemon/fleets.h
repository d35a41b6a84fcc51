/* SPDX-License-Identifier: MIT */
/* The agent's handler of the operation on fleets. */
#ifndef PIAGENT_DAEMON_FLEETS_H
#define PIAGENT_DAEMON_FLEETS_H

struct agent;
struct api_call;

/* Answers the call, later, when what it tells is on disk. */
void fleets_tell(struct agent *agent, const char *name, struct api_call *call);

#endif
