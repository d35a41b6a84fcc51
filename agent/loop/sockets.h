/* SPDX-License-Identifier: MIT */
/* The listening sockets that the agent binds. All are O_CLOEXEC and non-blocking. */
#ifndef PIAGENT_LOOP_SOCKETS_H
#define PIAGENT_LOOP_SOCKETS_H

#include <stdint.h>

#include "agent/base/error.h"

/* A listening unix socket FOLDER/NAME, 0600 from the first moment, in place of what lay there. The
 * descriptor, or negative. */
int socket_listen_unix(const char *folder, const char *name, struct pi_error *err);

/* A listening TCP socket on 127.0.0.1, or -EADDRINUSE. It shares the port with socket_hold_loopback()'s, but
 * no other socket may listen there. */
int socket_listen_loopback(uint16_t port, struct pi_error *err);

/* A TCP socket that is bound to 127.0.0.1 and never listens. As long as any process has it open, only this
 * user can listen at the port: another user gets EADDRINUSE, and clients meanwhile "connection refused". Call
 * it while socket_listen_loopback()'s socket is open. */
int socket_hold_loopback(uint16_t port, struct pi_error *err);

#endif
