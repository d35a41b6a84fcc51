/* SPDX-License-Identifier: MIT */
/* The ports of this host that an instance's start uses: its forwards, and the one for SSH. */
#ifndef PIAGENT_INSTANCE_PORTS_H
#define PIAGENT_INSTANCE_PORTS_H

#include <stdbool.h>

#include "agent/base/error.h"

struct instance;

/* The user's own ports must be free; the automatic one for SSH moves if another program has taken it. */
int ports_check(struct instance *instance, struct pi_error *err);
/* Whether the ports of an isolated instance may still be held by the network of its last QEMU, which ends
 * right after that. */
bool ports_may_linger(const struct instance *instance);

#endif
