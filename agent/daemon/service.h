/* SPDX-License-Identifier: MIT */
/*
 * The agent under a service manager, if there is one. The manager hands over the control socket
 * (sd_listen_fds(3)) and hears how the agent does (sd_notify(3)). This does without libsystemd, whose
 * sd_notify() waits if the manager does not read: the agent's loop waits for nobody.
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

/* Reads the manager's variables, and removes them from the environment: they are not for QEMU or workers.
 * PI_HOST if the manager handed over something else than the socket at FOLDER/NAME, where commands look for
 * the agent. */
int service_take(const char *folder, const char *name, struct service *ret, struct pi_error *err);

/* Tells the manager. The message is lost if the manager does not read. */
void service_tell(const struct service *service, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void service_done(struct service *service);

#endif
