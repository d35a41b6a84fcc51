/* SPDX-License-Identifier: MIT */
#include "agent/vm/host_port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>

#include "agent/base/auto.h"
#include "agent/base/random.h"

#define PICK_FIRST 20000u
#define PICK_COUNT 10000u

int vm_port_check(const char *address, uint16_t port, struct pi_error *err)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, address, &at.sin_addr) != 1)
        return pi_refuse(err, PI_HOST, "%.64s is not an IPv4 address", address);
    pi_auto_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return pi_fail(err, errno, "cannot open a socket");
    /* QEMU's user network sets SO_REUSEADDR too, so that connections in TIME_WAIT do not matter. With it two
     * sockets can bind one port, and only listen() fails. */
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 1) == 0)
        return 0;
    switch (errno) {
    case EADDRINUSE:
        return pi_refuse(err, PI_HOST, "port %s:%u is in use by another program: choose another port",
                         address, port);
    case EACCES:
        return pi_refuse(err, PI_HOST, "port %u is reserved for root: choose one from 1024 on", port);
    case EADDRNOTAVAIL:
        return pi_refuse(err, PI_HOST, "%s is not an address of this host: choose 127.0.0.1 or 0.0.0.0",
                         address);
    default:
        return pi_fail(err, errno, "cannot listen on %s:%u", address, port);
    }
}

int vm_port_pick(bool (*taken)(uint16_t port, void *user), void *user, uint16_t *ret, struct pi_error *err)
{
    uint32_t start;
    int r = pi_random_bytes(&start, sizeof start);
    if (r < 0)
        return pi_fail(err, -r, "no random bytes");
    start %= PICK_COUNT;
    for (uint32_t i = 0; i < PICK_COUNT; i++) {
        uint16_t port = (uint16_t)(PICK_FIRST + (start + i) % PICK_COUNT);
        if (taken && taken(port, user))
            continue;
        r = vm_port_check("127.0.0.1", port, err);
        if (r == 0)
            *ret = port;
        if (r == 0 || r == -EMFILE || r == -ENFILE) /* without descriptors each port would seem taken */
            return r;
    }
    return pi_refuse(err, PI_HOST, "no port from %u to %u is free on 127.0.0.1: remove an instance first",
                     PICK_FIRST, PICK_FIRST + PICK_COUNT - 1);
}
