/* SPDX-License-Identifier: MIT */
/* Frames that wait to be sent. A queue is shared by all whose frames are in it: a sender's frames may take as much of it as is
 * free, so that one who floods it leaves room for the others (dynamic thresholds, Choudhury and Hahne 1998). */
#ifndef PIAGENT_SWITCH_FRAME_QUEUE_H
#define PIAGENT_SWITCH_FRAME_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include "agent/vm/subnet.h"

#define FRAME_QUEUE_MAX   512 /* frames */
#define FRAME_SENDERS_MAX VM_NETWORK_RUNNING_MAX

struct queued_frame {
    STAILQ_ENTRY(queued_frame) entry;
    uint16_t from; /* the sender's index */
    uint16_t size;
    uint32_t length; /* the size in network order: a trunk sends this and the bytes after it */
    uint8_t bytes[];
};

struct frame_queue {
    STAILQ_HEAD(, queued_frame) frames;
    size_t count;
    uint16_t count_from[FRAME_SENDERS_MAX]; /* by the sender's index */
};

void frame_queue_init(struct frame_queue *queue);
void frame_queue_clear(struct frame_queue *queue);

/* Copies a frame to the end. False if the sender has no room. */
bool frame_queue_add(struct frame_queue *queue, unsigned from, const struct iovec *frame);
void frame_queue_drop_first(struct frame_queue *queue);

/* The sender with this index has left: its frames go, all but the first keep_first. */
void frame_queue_forget(struct frame_queue *queue, unsigned from, size_t keep_first);

#endif
