/* SPDX-License-Identifier: MIT */
/*
 * A port: where one member of a network is plugged in. Its QEMU has "-netdev dgram" with two unix sockets: it sends
 * frames to the port's, and takes them at its own. One datagram is one frame (net/dgram.c of QEMU), and none is empty:
 * QEMU takes an empty one for the end.
 * What a member does not take at once waits in its port's queue.
 */
#ifndef PIAGENT_SWITCH_PORT_H
#define PIAGENT_SWITCH_PORT_H

#include <sys/un.h>

#include "agent/base/error.h"
#include "agent/switch/frame.h"
#include "agent/switch/frame_queue.h"

#define PORTS_MAX FRAME_SENDERS_MAX

/* Broadcasts reach everybody, and the switch itself answers questions to its own address: of each a member may send so many
 * at once, and so many a second. */
#define PORT_BUDGET_BURST 2000
#define PORT_BUDGET_RATE  1000

struct port_budget {
    uint64_t left, counted_ms; /* what the member may still send, as of then */
};

struct switch_port {
    struct frame_owner owner;
    struct sockaddr_un member; /* the socket that its QEMU takes frames at */
    int in_fd;                 /* bound: the member's QEMU sends here */
    int out_fd;                /* connected to the member's; negative while there is none */
    uint64_t connection;       /* counts its connections */
    uint64_t retry_ms;         /* before that no other connection is tried */
    struct frame_queue queue;
    struct port_budget broadcasts, questions;
    struct frame_counters counters;
};

/* Of a member that is behind a trunk: without sockets. */
void switch_port_init(struct switch_port *port, const struct frame_owner *owner);

/* Binds in_name for the member and will send to member_name; both are names in the current folder. *port is set only on
 * success. */
int switch_port_open(const struct frame_owner *owner, const char *in_name, const char *member_name,
                     struct switch_port *port, struct pi_error *err);
void switch_port_close(struct switch_port *port);

/* Sends frames that the member with index from has sent; now_ms is CLOCK_MONOTONIC. Those that the member does not take
 * are queued or lost. False if there was a member, but no room for some of them. */
bool switch_port_send(struct switch_port *port, unsigned from, struct iovec *frames, size_t count,
                      uint64_t now_ms);

/* Whether frames wait for out_fd to be writable: then call switch_port_flush(). */
bool switch_port_waits(const struct switch_port *port);
void switch_port_flush(struct switch_port *port);

/* The member with this index has left: nothing of it waits any more. */
void switch_port_forget(struct switch_port *port, unsigned from);

/* Whether a QEMU has the member's socket open. */
bool switch_port_is_taken(const struct switch_port *port);

/* Whether the member may send one more; counts it. */
bool port_budget_take(struct port_budget *budget, uint64_t now_ms);

#endif
