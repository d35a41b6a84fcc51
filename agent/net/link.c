/* SPDX-License-Identifier: MIT */
#include "agent/net/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static size_t frame_size(const uint8_t *at)
{
    uint32_t size;
    memcpy(&size, at, sizeof size);
    return ntohl(size);
}

int net_link_receive(struct net_link *link, void (*frame)(const uint8_t *bytes, size_t size, void *user),
                     void *user)
{
    ssize_t n = recv(link->fd, link->in + link->in_size, sizeof link->in - link->in_size, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (n == 0)
        return -ENODATA;
    link->in_size += (size_t)n;
    size_t used = 0;
    while (link->in_size - used >= NET_LENGTH_SIZE) {
        size_t size = frame_size(link->in + used);
        if (size > NET_FRAME_MAX)
            return -EMSGSIZE;
        if (link->in_size - used < NET_LENGTH_SIZE + size)
            break;
        frame(link->in + used + NET_LENGTH_SIZE, size, user);
        used += NET_LENGTH_SIZE + size;
    }
    link->in_size -= used;
    memmove(link->in, link->in + used, link->in_size);
    return 0;
}

bool net_link_waits(const struct net_link *link)
{
    return link->out_start < link->out_end;
}

void net_link_flush(struct net_link *link)
{
    ssize_t n = send(link->fd, link->out + link->out_start, link->out_end - link->out_start,
                     MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0)
        link->out_start += (size_t)n;
}

void net_link_send(struct net_link *link, const uint8_t *bytes, size_t size)
{
    uint32_t length = htonl((uint32_t)size);
    if (net_link_waits(link) || size > NET_FRAME_MAX)
        return;
    memcpy(link->out, &length, NET_LENGTH_SIZE);
    memcpy(link->out + NET_LENGTH_SIZE, bytes, size);
    link->out_start = 0;
    link->out_end = NET_LENGTH_SIZE + size;
    net_link_flush(link);
}
