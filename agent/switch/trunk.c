/* SPDX-License-Identifier: MIT */
#include "agent/switch/trunk.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/base/auto.h"

#define AT_ONCE 32

void trunk_init(struct trunk *trunk, const char *name)
{
    *trunk = (struct trunk){.fd = -1};
    snprintf(trunk->name, sizeof trunk->name, "%s", name);
    frame_queue_init(&trunk->queue);
}

void trunk_done(struct trunk *trunk)
{
    trunk_disconnect(trunk);
    *trunk = (struct trunk){.fd = -1};
}

int trunk_connect(struct trunk *trunk, int *fd, struct pi_error *err)
{
    int type = 0, listening = 0;
    socklen_t size = sizeof type;
    if (getsockopt(*fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_STREAM ||
        getsockopt(*fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 || listening)
        return pi_refuse(err, PI_USAGE, "a trunk is a connected stream socket, passed with the request");
    uint8_t *input = malloc(TRUNK_INPUT_SIZE);
    if (!input)
        return pi_fail(err, ENOMEM, "cannot connect the trunk %s", trunk->name);
    trunk_disconnect(trunk);
    trunk->input = input;
    trunk->fd = pi_steal_fd(fd);
    return 0;
}

void trunk_disconnect(struct trunk *trunk)
{
    pi_close_p(&trunk->fd);
    trunk->fd = -1;
    trunk->watched = false;
    trunk->counters.lost += trunk->queue.count;
    frame_queue_clear(&trunk->queue);
    trunk->sent = 0;
    free(pi_steal(trunk->input));
    trunk->input_size = 0;
}

void trunk_send(struct trunk *trunk, unsigned from, const struct iovec *frame)
{
    if (trunk->fd < 0 || !frame_queue_add(&trunk->queue, from, frame))
        trunk->counters.lost++;
}

/* So many bytes of the queue are sent. */
static void count_sent(struct trunk *trunk, size_t bytes)
{
    trunk->sent += bytes;
    while (trunk->queue.count) {
        size_t size = STAILQ_FIRST(&trunk->queue.frames)->size;
        if (trunk->sent < TRUNK_LENGTH_SIZE + size)
            break;
        trunk->sent -= TRUNK_LENGTH_SIZE + size;
        trunk->counters.sent_frames++;
        trunk->counters.sent_bytes += size;
        frame_queue_drop_first(&trunk->queue);
    }
}

void trunk_flush(struct trunk *trunk)
{
    while (trunk->queue.count) {
        struct iovec parts[AT_ONCE];
        struct msghdr message = {.msg_iov = parts};
        struct queued_frame *frame = STAILQ_FIRST(&trunk->queue.frames);
        size_t skipped = trunk->sent;
        for (; frame && message.msg_iovlen < AT_ONCE; frame = STAILQ_NEXT(frame, entry), skipped = 0)
            parts[message.msg_iovlen++] =
                (struct iovec){(uint8_t *)frame + offsetof(struct queued_frame, length) + skipped,
                               TRUNK_LENGTH_SIZE + frame->size - skipped};
        ssize_t n = sendmsg(trunk->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            trunk_disconnect(trunk);
        if (n < 0)
            break;
        count_sent(trunk, (size_t)n);
    }
}

void trunk_forget(struct trunk *trunk, unsigned from)
{
    frame_queue_forget(&trunk->queue, from, trunk->sent ? 1 : 0);
}

void trunk_receive(struct trunk *trunk)
{
    ssize_t n =
        recv(trunk->fd, trunk->input + trunk->input_size, TRUNK_INPUT_SIZE - trunk->input_size, MSG_DONTWAIT);
    if (n > 0)
        trunk->input_size += (size_t)n;
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        trunk_disconnect(trunk);
}

bool trunk_next(struct trunk *trunk, size_t *used, struct iovec *frame)
{
    uint32_t length;
    size_t left = trunk->input_size - *used;
    if (left >= sizeof length) {
        memcpy(&length, trunk->input + *used, sizeof length);
        length = ntohl(length);
        if (length < FRAME_HEADER_SIZE || length > FRAME_MAX) {
            trunk_disconnect(trunk);
            return false;
        }
        if (left - sizeof length >= length) {
            *frame = (struct iovec){trunk->input + *used + sizeof length, length};
            *used += sizeof length + length;
            trunk->counters.received_frames++;
            trunk->counters.received_bytes += length;
            return true;
        }
    }
    trunk->input_size = left;
    if (left)
        memmove(trunk->input, trunk->input + *used, left);
    return false;
}

_Static_assert(offsetof(struct queued_frame, bytes) ==
                   offsetof(struct queued_frame, length) + TRUNK_LENGTH_SIZE,
               "a frame stands right after its length");
