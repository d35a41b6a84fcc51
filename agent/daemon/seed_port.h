/* SPDX-License-Identifier: MIT */
/*
 * The port on 127.0.0.1 where guests fetch their seeds and report. A running guest knows it, so each agent
 * keeps the port of the one before. Nobody else may have it in between: whoever listens there learns the
 * guests' keys, and what they fetch from there they run as root. So each QEMU inherits a socket that keeps
 * the port for this user.
 */
#ifndef PIAGENT_DAEMON_SEED_PORT_H
#define PIAGENT_DAEMON_SEED_PORT_H

#include <stdint.h>

#include "agent/base/error.h"

struct seed_port {
    uint16_t port;
    uint16_t remembered; /* of the agent before; 0 = unknown. If it differs from .port, that port was lost. */
    int listen_fd;
    int hold_fd; /* for each QEMU: socket_hold_loopback() */
};

#define SEED_PORT_NONE                  \
    {                                   \
        .listen_fd = -1, .hold_fd = -1, \
    }

/* Opens the remembered port. If another program has that, opens a new one, and remembers it in the folder
 * pi_paths.state; the loss is logged. */
int seed_port_open(int state_fd, struct seed_port *ret, struct pi_error *err);
void seed_port_close(struct seed_port *port);

#endif
