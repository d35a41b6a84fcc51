/* SPDX-License-Identifier: MIT */
/* Ethernet frames over a stream socket, as QEMU's "-netdev socket" sends them: each behind its length, 32
 * bits in network order (net/socket.c). */
#ifndef PIAGENT_NET_LINK_H
#define PIAGENT_NET_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NET_FRAME_MAX   ((size_t)65536 + 4096) /* QEMU's NET_BUFSIZE */
#define NET_LENGTH_SIZE 4

struct net_link {
    int fd; /* non-blocking; the rest of zeroed memory is valid */
    size_t in_size;
    size_t out_start, out_end;
    uint8_t in[NET_LENGTH_SIZE + NET_FRAME_MAX], out[NET_LENGTH_SIZE + NET_FRAME_MAX];
};

/* Reads once and hands on each frame that is whole. 0, -ENODATA at the end, -EMSGSIZE for a frame that is
 * larger than any of QEMU's, or the errno of the socket. */
int net_link_receive(struct net_link *link, void (*frame)(const uint8_t *bytes, size_t size, void *user),
                     void *user);

/* Sends a frame, or drops it where the peer has not taken an earlier one: a network may, and TCP copes. */
void net_link_send(struct net_link *link, const uint8_t *bytes, size_t size);

/* Whether a part of a frame waits for the socket to be writable: then call net_link_flush(). */
bool net_link_waits(const struct net_link *link);
void net_link_flush(struct net_link *link);

#endif
