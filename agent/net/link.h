/* SPDX-License-Identifier: MIT */
/* Ethernet frames over a stream socket, as QEMU's "-netdev socket" sends them: first the length, 32 bits in
 * network order, then the frame (QEMU's net/socket.c). */
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

/* Reads once and hands on each whole frame. 0, -ENODATA at the end, -EMSGSIZE if a frame is larger than
 * QEMU's limit, or the errno of the socket. */
int net_link_receive(struct net_link *link, void (*frame)(const uint8_t *bytes, size_t size, void *user),
                     void *user);

/* Sends a frame. Drops it if an earlier frame still waits: a network may lose frames, and TCP sends again. */
void net_link_send(struct net_link *link, const uint8_t *bytes, size_t size);

/* Tells if part of a frame waits for the socket to become writable: then call net_link_flush(). */
bool net_link_waits(const struct net_link *link);
void net_link_flush(struct net_link *link);

#endif
