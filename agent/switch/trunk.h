/* SPDX-License-Identifier: MIT */
/*
 * A trunk: the connection to another switch of the same network, on another host. It carries the frames of the members that are
 * behind it. It is a stream: each frame after its length, 32 bits in network order, as QEMU's "-netdev stream" has it.
 */
#ifndef PIAGENT_SWITCH_TRUNK_H
#define PIAGENT_SWITCH_TRUNK_H

#include "agent/base/error.h"
#include "agent/switch/frame.h"
#include "agent/switch/frame_queue.h"

#define TRUNK_LENGTH_SIZE 4
#define TRUNK_INPUT_SIZE  65536

struct trunk {
    char name[64]; /* "": not in use */
    int fd;        /* negative while there is no connection */
    bool watched;  /* for output, too */
    struct frame_queue queue;
    size_t sent;    /* bytes of the first frame in the queue, with its length, that are sent */
    uint8_t *input; /* TRUNK_INPUT_SIZE; NULL without a connection */
    size_t input_size;
    struct frame_counters counters;
};

void trunk_init(struct trunk *trunk, const char *name);
void trunk_done(struct trunk *trunk);

/* Takes *fd, a connected stream socket, in place of the connection that there was; *fd is then negative. PI_USAGE if it is none. */
int trunk_connect(struct trunk *trunk, int *fd, struct pi_error *err);

/* Ends the connection: its frames are lost. */
void trunk_disconnect(struct trunk *trunk);

/* Queues a frame of the member with index from, or loses it. */
void trunk_send(struct trunk *trunk, unsigned from, const struct iovec *frame);

/* Sends what the other switch takes now. A connection that is broken is ended. */
void trunk_flush(struct trunk *trunk);

/* The member with this index has left: its frames go, but not one that is partly sent. */
void trunk_forget(struct trunk *trunk, unsigned from);

/* Reads what is there. A connection that ended or sends no frames is ended. */
void trunk_receive(struct trunk *trunk);

/* The next whole frame that was read, as a part of input; *used begins with 0. False if there is none: then the bytes that
 * were used are forgotten. A frame that is longer than FRAME_MAX, or has no header, ends the connection. */
bool trunk_next(struct trunk *trunk, size_t *used, struct iovec *frame);

#endif
