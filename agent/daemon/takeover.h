/* SPDX-License-Identifier: MIT */
/* Takes over the instances of the agent before, and removes sockets that nobody uses. */
#ifndef PIAGENT_DAEMON_TAKEOVER_H
#define PIAGENT_DAEMON_TAKEOVER_H

#include "agent/base/error.h"

struct agent;

/* Reads every instance's folder and takes over the QEMUs that run. Removes sockets in the runtime folder that
 * belong to no instance. */
int agent_adopt_all(struct agent *agent, struct pi_error *err);

#endif
