/* SPDX-License-Identifier: MIT */
#include "agent/switch/frame_queue.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

void frame_queue_init(struct frame_queue *queue)
{
    memset(queue, 0, sizeof *queue);
    STAILQ_INIT(&queue->frames);
}

void frame_queue_clear(struct frame_queue *queue)
{
    while (queue->count)
        frame_queue_drop_first(queue);
}

bool frame_queue_add(struct frame_queue *queue, unsigned from, const struct iovec *frame)
{
    struct queued_frame *copy = NULL;
    if (queue->count_from[from] < FRAME_QUEUE_MAX - queue->count)
        copy = malloc(sizeof *copy + frame->iov_len);
    if (!copy)
        return false;
    copy->from = (uint16_t)from;
    copy->size = (uint16_t)frame->iov_len;
    copy->length = htonl((uint32_t)frame->iov_len);
    memcpy(copy->bytes, frame->iov_base, frame->iov_len);
    STAILQ_INSERT_TAIL(&queue->frames, copy, entry);
    queue->count++;
    queue->count_from[from]++;
    return true;
}

void frame_queue_drop_first(struct frame_queue *queue)
{
    struct queued_frame *frame = STAILQ_FIRST(&queue->frames);
    STAILQ_REMOVE_HEAD(&queue->frames, entry);
    queue->count--;
    queue->count_from[frame->from]--;
    free(frame);
}

void frame_queue_forget(struct frame_queue *queue, unsigned from, size_t keep_first)
{
    struct queued_frame *frame = STAILQ_FIRST(&queue->frames), *next;
    for (size_t i = 0; frame; frame = next, i++) {
        next = STAILQ_NEXT(frame, entry);
        if (frame->from != from || i < keep_first)
            continue;
        STAILQ_REMOVE(&queue->frames, frame, queued_frame, entry);
        queue->count--;
        queue->count_from[from]--;
        free(frame);
    }
}
