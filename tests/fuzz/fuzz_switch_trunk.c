/* SPDX-License-Identifier: MIT */
/* Any bytes of a hostile switch at the other end of a trunk: each frame is whole, of a size that is allowed, and part of the input,
 * however the bytes come. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/switch/trunk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_part(struct trunk *trunk)
{
    struct iovec frame;
    size_t used = 0;
    trunk_receive(trunk);
    while (trunk->fd >= 0 && trunk_next(trunk, &used, &frame))
        if (frame.iov_len < FRAME_HEADER_SIZE || frame.iov_len > FRAME_MAX ||
            (uint8_t *)frame.iov_base < trunk->input ||
            (uint8_t *)frame.iov_base + frame.iov_len > trunk->input + trunk->input_size)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct trunk trunk;
    int ends[2];
    trunk_init(&trunk, "other");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 ||
        trunk_connect(&trunk, &ends[0], NULL) < 0)
        abort();
    while (size && trunk.fd >= 0) {
        size_t part = 1 + data[0] * (size_t)16;
        part = part < size ? part : size;
        if (send(ends[1], data, part, MSG_NOSIGNAL) != (ssize_t)part)
            abort();
        data += part;
        size -= part;
        read_part(&trunk);
    }
    close(ends[1]);
    trunk_done(&trunk);
    return 0;
}
