/* SPDX-License-Identifier: MIT */
/*
 * The network of an isolated instance: a process of its own (agent/net), QEMU's only child. It ends together
 * with its QEMU. If it ends alone, the guest is cut off, and nobody but the agent notices.
 */
#ifndef PIAGENT_INSTANCE_NETWORK_H
#define PIAGENT_INSTANCE_NETWORK_H

#include <stdbool.h>

struct instance;
struct timer;
struct watch;

struct network {
    int pidfd; /* negative: none that is known */
    struct watch *watch;
    struct timer *timer; /* set until it is known whether the network ended alone */
    bool gone;
};

/* 0 or -ENOMEM. */
int network_init(struct instance *instance);
void network_reset(struct instance *instance);
void network_done(struct instance *instance);

/* From now on the end of the network is noticed, and told unless its QEMU ends as well. */
void network_watch(struct instance *instance);
/* Whether it has ended alone. */
bool network_is_gone(const struct instance *instance);

#endif
