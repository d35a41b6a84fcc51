/* SPDX-License-Identifier: MIT */
/* The agent's handler of each operation of the control API. */
#ifndef PIAGENT_DAEMON_HANDLERS_H
#define PIAGENT_DAEMON_HANDLERS_H

#include <stdbool.h>

#include "agent/api/operations.h"

struct agent;
struct api_call;
struct instance;
struct lan;

/* One of the four answers the call, whose path, query and body were checked. */
struct handler {
    void (*agent)(struct agent *agent, struct api_call *call);
    void (*instance)(struct instance *instance, struct api_call *call);
    void (*network)(struct agent *agent, struct lan *lan, struct api_call *call);
    void (*fleet)(struct agent *agent, const char *name, struct api_call *call);
    bool asks_qemu; /* if QEMU is being asked whether it is the instance's, the call waits for that */
};
extern const struct handler agent_handlers[API_OPERATIONS];

#endif
