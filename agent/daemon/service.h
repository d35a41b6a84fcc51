/* SPDX-License-Identifier: MIT */
/*
 * The agent under a service manager, where there is one: it hands over the control socket (sd_listen_fds(3))
 * and hears how the agent does (sd_notify(3)). Not by libsystemd: its sd_notify() waits where the manager
 * does not read, and the agent's loop waits for nobody.
 */
#ifndef PIAGENT_DAEMON_SERVICE_H
#define PIAGENT_DAEMON_SERVICE_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent/base/error.h"

struct service {
    int listen_fd; /* the control socket, listening; -1 = the agent makes its own */
    int notify_fd; /* -1 = nobody listens */
    struct sockaddr_un notify;
    socklen_t notify_size;
    uint64_t ping_ms; /* how often a sign of life is due, half of WATCHDOG_USEC; 0 = never */
};

#define SERVICE_NONE                     \
    {                                    \
        .listen_fd = -1, .notify_fd = -1 \
    }

/* Takes what the environment speaks of, and out of it: it is not for QEMU nor for workers. PI_HOST where what
 * was handed over is not the socket at FOLDER/NAME, where commands look for the agent. */
int service_take(const char *folder, const char *name, struct service *ret, struct pi_error *err);

/* Tells the manager; lost where it does not read. */
void service_tell(const struct service *service, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void service_done(struct service *service);

#endif
