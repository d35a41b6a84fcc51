/* SPDX-License-Identifier: MIT */
/* The ports of this host that an instance's start uses: its forwards, and the one for SSH. */
#ifndef PIAGENT_INSTANCE_PORTS_H
#define PIAGENT_INSTANCE_PORTS_H

#include <stdbool.h>

#include "agent/base/error.h"

struct instance;

/* Whether the port of a forward ("8080:80") is free, at an address of this host. PI_HOST. */
int ports_check_forward(const struct instance *instance, const char *text, struct pi_error *err);
/* Chooses the port for SSH: another one than before if another program has taken that. */
int ports_choose(struct instance *instance, struct pi_error *err);
/* Both, for all forwards. */
int ports_check(struct instance *instance, struct pi_error *err);
/* Whether its last QEMU has ended because another program had taken a port since ports_check(); words: the last ones of qemu.log. */
bool ports_were_taken(const struct instance *instance, const char *words);
/* Whether the ports of an isolated instance may still be held by the network of its last QEMU, which ends
 * right after that. */
bool ports_may_linger(const struct instance *instance);

#endif
