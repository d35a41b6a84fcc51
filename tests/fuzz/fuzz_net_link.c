/* SPDX-License-Identifier: MIT */
/* Any stream of a hostile QEMU's: each frame that comes out lies in the buffer, and is as long as was said.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/net/link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_frame(const uint8_t *bytes, size_t size, void *user)
{
    const struct net_link *link = user;
    if (bytes < link->in || bytes + size > link->in + sizeof link->in || size > NET_FRAME_MAX)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct net_link link;
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
        return 0;
    link = (struct net_link){.fd = ends[0]};
    /* Whatever does not fit the socket's buffer is not of interest. */
    ssize_t sent = send(ends[1], data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    close(ends[1]);
    while (sent >= 0 && net_link_receive(&link, on_frame, &link) == 0)
        ;
    close(ends[0]);
    return 0;
}
