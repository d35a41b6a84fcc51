/* SPDX-License-Identifier: MIT */
#include "agent/loop/qmp_link.h"

#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/paths.h"
#include "agent/loop/budget.h"

/* QEMU sends some KiB a second when its guest is busy. */
#define BYTES_BURST      (4u << 20)
#define BYTES_PER_SECOND (128u << 10)

struct qmp_link {
    int fd;
    struct watch *watch;
    struct timer *timer;
    struct qmp_client *client; /* NULL: closed from within a callback */
    bool busy;                 /* a call into the client is on the stack */
    struct budget bytes;
};

/* A descriptor goes along with the first byte (unix(7)). */
static ssize_t send_pending(int socket_fd, const char *bytes, size_t size, int fd)
{
    struct iovec data = {(void *)bytes, size};
    alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {0};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
    if (fd >= 0) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        *header = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)};
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    return sendmsg(socket_fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* After anything that may have queued bytes or moved a deadline. */
static void settle_link(struct qmp_link *link)
{
    const char *bytes;
    size_t size;
    if (link->busy || !link->client)
        return;
    while ((size = qmp_client_pending(link->client, &bytes))) {
        ssize_t n = send_pending(link->fd, bytes, size, qmp_client_pending_fd(link->client));
        if (n <= 0)
            break;
        qmp_client_sent(link->client, (size_t)n);
    }
    if (link->watch)
        watch_set_writable(link->watch, size > 0);
    uint64_t deadline = qmp_client_deadline_ms(link->client), now = pi_monotonic_ms();
    if (deadline == UINT64_MAX)
        timer_clear(link->timer);
    else
        timer_set(link->timer, deadline > now ? deadline - now : 0);
}

static void release_link(struct qmp_link *link)
{
    qmp_client_free(link->client);
    watch_free(link->watch);
    timer_free(link->timer);
    pi_close_p(&link->fd);
    free(link);
}

static void leave_client(struct qmp_link *link)
{
    link->busy = false;
    if (link->client)
        settle_link(link);
    else
        release_link(link);
}

static void on_link_io(void *user)
{
    struct qmp_link *link = user;
    char chunk[16384];
    ssize_t n = recv(link->fd, chunk, sizeof chunk, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        settle_link(link);
        return;
    }
    link->busy = true;
    if (n > 0 && !budget_spend(&link->bytes, (unsigned)n, BYTES_BURST, BYTES_PER_SECOND, pi_monotonic_ms())) {
        watch_free(pi_steal(link->watch));
        qmp_client_close(link->client, -EPROTO, "QEMU sends without end");
    } else if (n > 0) {
        qmp_client_receive(link->client, chunk, (size_t)n);
    } else {
        /* Nothing more will come; watched on, it would be readable for ever. */
        watch_free(pi_steal(link->watch));
        qmp_client_close(link->client, -ECONNRESET, "QEMU closed its monitor");
    }
    leave_client(link);
}

static void on_link_deadline(void *user)
{
    struct qmp_link *link = user;
    link->busy = true;
    qmp_client_expire(link->client, pi_monotonic_ms());
    leave_client(link);
}

int qmp_link_new(uv_loop_t *loop, const char *folder, const char *name, uint64_t greeting_ms,
                 const struct qmp_handler *handler, void *user, struct qmp_link **ret, struct pi_error *err)
{
    pi_auto_close int fd = pi_socket_connect(folder, name, err);
    if (fd < 0)
        return fd;
    struct qmp_link *link = calloc(1, sizeof *link);
    if (!link)
        return pi_fail(err, ENOMEM, "QMP");
    link->fd = pi_steal_fd(&fd);
    link->client = qmp_client_new(handler, user, pi_monotonic_ms() + greeting_ms);
    link->timer = timer_new(loop, on_link_deadline, link);
    link->watch = watch_new(loop, link->fd, on_link_io, link);
    if (!link->client || !link->timer || !link->watch) {
        release_link(link);
        return pi_fail(err, ENOMEM, "QMP");
    }
    settle_link(link);
    *ret = link;
    return 0;
}

void qmp_link_close(struct qmp_link *link)
{
    if (!link || !link->client)
        return;
    bool outermost = !link->busy;
    link->busy = true;
    struct qmp_client *client = pi_steal(link->client);
    qmp_client_close(client, -ECONNRESET, "given up");
    qmp_client_free(client);
    if (outermost)
        release_link(link);
}

int qmp_link_execute(struct qmp_link *link, enum qmp_command command, uint64_t timeout_ms, qmp_reply_fn reply,
                     void *user)
{
    return qmp_link_execute_with(link, command, NULL, -1, timeout_ms, reply, user);
}

int qmp_link_execute_with(struct qmp_link *link, enum qmp_command command, json_t *arguments, int fd,
                          uint64_t timeout_ms, qmp_reply_fn reply, void *user)
{
    if (!link->client) {
        json_decref(arguments);
        return -ECONNRESET;
    }
    int r = qmp_command_execute_with(link->client, command, arguments, fd, pi_monotonic_ms() + timeout_ms,
                                     reply, user);
    settle_link(link);
    return r;
}
