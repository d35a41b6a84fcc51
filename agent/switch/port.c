/* SPDX-License-Identifier: MIT */
#include "agent/switch/port.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/base/auto.h"

#define RETRY_MS   50
#define AT_ONCE    32
#define SOCKET_MAX (4 << 20) /* bytes that a socket's buffer holds, as far as the kernel allows */

static int name_socket(const char *name, struct sockaddr_un *ret, struct pi_error *err)
{
    if (strlen(name) >= sizeof ret->sun_path)
        return pi_refuse(err, PI_FAILED, "the name of a socket is too long: %s", name);
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(ret->sun_path, name, strlen(name) + 1);
    return 0;
}

static int open_datagram_socket(void)
{
    const int size = SOCKET_MAX;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    return fd;
}

void switch_port_init(struct switch_port *port, const struct frame_owner *owner)
{
    *port = (struct switch_port){.owner = *owner,
                                 .in_fd = -1,
                                 .out_fd = -1,
                                 .broadcasts.left = PORT_BUDGET_BURST,
                                 .questions.left = PORT_BUDGET_BURST};
    frame_queue_init(&port->queue);
}

/* Of an earlier switch, or a folder that is empty: whoever runs QEMU can make one. */
static int clear_name(const char *name)
{
    if (unlink(name) == 0 || errno == ENOENT)
        return 0;
    return unlinkat(AT_FDCWD, name, AT_REMOVEDIR);
}

int switch_port_open(const struct frame_owner *owner, const char *in_name, const char *member_name,
                     struct switch_port *port, struct pi_error *err)
{
    struct sockaddr_un in, member;
    int r = name_socket(in_name, &in, err);
    if (r == 0)
        r = name_socket(member_name, &member, err);
    if (r < 0)
        return r;
    pi_auto_close int fd = open_datagram_socket();
    if (fd < 0 || clear_name(in_name) < 0 || bind(fd, (const struct sockaddr *)&in, sizeof in) < 0)
        return pi_fail(err, errno, "cannot listen at %s", in_name);
    switch_port_init(port, owner);
    port->member = member;
    port->in_fd = pi_steal_fd(&fd);
    return 0;
}

static void disconnect_port(struct switch_port *port)
{
    pi_close_p(&port->out_fd);
    port->out_fd = -1;
    port->counters.lost += port->queue.count;
    frame_queue_clear(&port->queue);
}

void switch_port_close(struct switch_port *port)
{
    disconnect_port(port);
    pi_close_p(&port->in_fd);
    port->in_fd = -1;
}

static int connect_to_member(const struct switch_port *port)
{
    pi_auto_close int fd = open_datagram_socket();
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&port->member, sizeof port->member) < 0)
        return -1;
    return pi_steal_fd(&fd);
}

bool switch_port_is_taken(const struct switch_port *port)
{
    pi_auto_close int fd = connect_to_member(port);
    return fd >= 0;
}

/* A member's QEMU may come and go: its socket is looked for when there is something to send. */
static bool is_connected(struct switch_port *port, uint64_t now_ms)
{
    if (port->out_fd >= 0)
        return true;
    if (now_ms < port->retry_ms)
        return false;
    pi_auto_close int fd = connect_to_member(port);
    if (fd < 0) {
        port->retry_ms = now_ms + RETRY_MS;
        return false;
    }
    port->out_fd = pi_steal_fd(&fd);
    port->connection++;
    return true;
}

/* Returns how many frames the member took. If less than count, it takes no more now; if it is gone, there is no connection. */
static size_t send_now(struct switch_port *port, struct iovec *frames, size_t count)
{
    struct mmsghdr messages[AT_ONCE] = {0};
    size_t done = 0;
    while (done < count) {
        size_t n = count - done < AT_ONCE ? count - done : AT_ONCE;
        for (size_t i = 0; i < n; i++)
            messages[i].msg_hdr = (struct msghdr){.msg_iov = &frames[done + i], .msg_iovlen = 1};
        int sent = sendmmsg(port->out_fd, messages, (unsigned)n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno != EAGAIN && errno != ENOBUFS)
            disconnect_port(port);
        if (sent <= 0)
            break;
        for (int i = 0; i < sent; i++)
            port->counters.sent_bytes += frames[done + (size_t)i].iov_len;
        port->counters.sent_frames += (size_t)sent;
        done += (size_t)sent;
    }
    return done;
}

bool switch_port_send(struct switch_port *port, unsigned from, struct iovec *frames, size_t count,
                      uint64_t now_ms)
{
    size_t sent = 0;
    /* Once more if a QEMU has ended and another has come since the last frame. */
    for (int attempt = 0; attempt < 2 && sent < count && port->queue.count == 0 && is_connected(port, now_ms);
         attempt++) {
        sent += send_now(port, frames + sent, count - sent);
        if (port->out_fd >= 0)
            break;
    }
    if (port->out_fd < 0) {
        port->counters.lost += count - sent;
        return true;
    }
    bool queued = true;
    for (; sent < count; sent++)
        if (!frame_queue_add(&port->queue, from, &frames[sent])) {
            port->counters.lost++;
            queued = false;
        }
    return queued;
}

bool switch_port_waits(const struct switch_port *port)
{
    return port->queue.count > 0;
}

void switch_port_flush(struct switch_port *port)
{
    while (port->queue.count) {
        struct iovec frames[AT_ONCE];
        struct queued_frame *frame = STAILQ_FIRST(&port->queue.frames);
        size_t n = 0;
        for (; frame && n < AT_ONCE; frame = STAILQ_NEXT(frame, entry))
            frames[n++] = (struct iovec){frame->bytes, frame->size};
        size_t sent = send_now(port, frames, n);
        for (size_t i = 0; i < sent && port->queue.count; i++)
            frame_queue_drop_first(&port->queue);
        if (sent < n)
            break;
    }
}

void switch_port_forget(struct switch_port *port, unsigned from)
{
    frame_queue_forget(&port->queue, from, 0);
}

bool port_budget_take(struct port_budget *budget, uint64_t now_ms)
{
    uint64_t earned = (now_ms - budget->counted_ms) * PORT_BUDGET_RATE / 1000;
    if (budget->left + earned >= PORT_BUDGET_BURST)
        budget->left = PORT_BUDGET_BURST;
    else
        budget->left += earned;
    if (earned || budget->counted_ms == 0)
        budget->counted_ms = now_ms;
    if (budget->left == 0)
        return false;
    budget->left--;
    return true;
}
