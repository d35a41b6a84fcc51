/* SPDX-License-Identifier: MIT */
#include "agent/loop/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/buf.h"
#include "agent/base/paths.h"

struct channel {
    int fd;
    struct watch *watch;
    struct channel_handler handler;
    void *user;
    struct pi_buf input;
};

static void send_input(struct channel *channel)
{
    while (channel->input.size) {
        ssize_t n = send(channel->fd, channel->input.data, channel->input.size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n <= 0)
            break;
        pi_buf_consume(&channel->input, (size_t)n);
    }
    if (channel->watch)
        watch_set_writable(channel->watch, channel->input.size > 0);
}

/* Whether there may be more. */
static bool read_channel(struct channel *channel)
{
    char chunk[16384];
    ssize_t n = recv(channel->fd, chunk, sizeof chunk, MSG_DONTWAIT);
    if (n > 0)
        channel->handler.output(chunk, (size_t)n, channel->user);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        watch_free(pi_steal(channel->watch));
    return n > 0;
}

static void on_channel_io(void *user)
{
    struct channel *channel = user;
    read_channel(channel);
    send_input(channel);
}

int channel_new(uv_loop_t *loop, const char *folder, const char *name, const struct channel_handler *handler,
                void *user, struct channel **ret, struct pi_error *err)
{
    pi_auto_close int fd = pi_socket_connect(folder, name, err);
    if (fd < 0)
        return fd;
    struct channel *channel = calloc(1, sizeof *channel);
    if (!channel)
        return pi_fail(err, ENOMEM, "channel");
    *channel = (struct channel){.fd = pi_steal_fd(&fd),
                                .handler = *handler,
                                .user = user,
                                .input.max = handler->input_max ? handler->input_max : CHANNEL_INPUT_MAX};
    channel->watch = watch_new(loop, channel->fd, on_channel_io, channel);
    if (!channel->watch) {
        channel_free(channel);
        return pi_fail(err, ENOMEM, "channel");
    }
    *ret = channel;
    return 0;
}

void channel_free(struct channel *channel)
{
    if (!channel)
        return;
    watch_free(channel->watch);
    pi_close_p(&channel->fd);
    pi_buf_done(&channel->input);
    free(channel);
}

int channel_type(struct channel *channel, const char *bytes, size_t size)
{
    if (pi_buf_add(&channel->input, bytes, size) < 0)
        return -ENOBUFS;
    send_input(channel);
    return 0;
}

int channel_pass(struct channel *channel, const char *bytes, size_t size, int fd)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct iovec part = {(char *)bytes, size};
    const struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    if (channel->input.size)
        return -ENOBUFS;
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    ssize_t n = sendmsg(channel->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    return n < 0 ? -ENOBUFS : channel_type(channel, bytes + n, size - (size_t)n);
}

void channel_drain(struct channel *channel)
{
    /* As much as a socket can hold, not for as long as someone writes. */
    for (int i = 0; i < 64 && read_channel(channel); i++)
        ;
}
