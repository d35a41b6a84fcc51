/* SPDX-License-Identifier: MIT */
/* The ports of one network, and the way of frames between them. The members' MACs are known from the plan, and nothing is
 * learned. A frame goes to the member that has its MAC, a broadcast or multicast to all members and the resolver, and any
 * other frame nowhere. A frame that came over a trunk goes to ports only, so that no frame goes round: each two hosts of a
 * network have a trunk of their own. */
#ifndef PIAGENT_SWITCH_FABRIC_H
#define PIAGENT_SWITCH_FABRIC_H

#include <stdbool.h>

#include "agent/switch/port.h"
#include "agent/switch/resolver.h"
#include "agent/switch/trunk.h"

#define TRUNKS_MAX 16

struct fabric_member {
    char name[64];
    struct frame_owner owner;
    bool plugged; /* it has a port: its instance runs, or is about to */
    char trunk
        [64]; /* the trunk that it is behind, on another host; "" = none, and only then it may be plugged */
};

/* How a network is to be. */
struct fabric_plan {
    struct frame_owner self; /* the resolver's */
    unsigned prefix;
    char domain[64];
    struct fabric_member members[RESOLVER_NAMES_MAX];
    size_t count;
};

struct fabric;

/* A network without members. NULL with err set. */
struct fabric *fabric_new(struct pi_error *err);
void fabric_free(struct fabric *fabric);

/* A descriptor that is readable when fabric_run() has work. */
int fabric_fd(const struct fabric *fabric);

/* Makes the network as planned. A port that stays as it was loses no frame. A port's sockets are NAME.in and NAME.qemu in
 * the current folder. If a port cannot be made, err names it, and the others are as planned. */
int fabric_apply(struct fabric *fabric, const struct fabric_plan *plan, struct pi_error *err);

/* Gives a trunk of the plan its connection: trunk_connect(). PI_NOT_FOUND if no member is behind it. */
int fabric_connect_trunk(struct fabric *fabric, const char *name, int *fd, struct pi_error *err);

/* Carries the frames that are there now, up to a limit. */
void fabric_run(struct fabric *fabric, uint64_t now_ms);

/* Whether a member's QEMU runs. */
bool fabric_is_used(const struct fabric *fabric);

/* The trunk with this index; NULL past the last. */
const struct trunk *fabric_trunk(const struct fabric *fabric, size_t index);

/* The port with this index, and its member's name; NULL past the last. */
const struct switch_port *fabric_port(const struct fabric *fabric, size_t index, const char **name);

#endif
