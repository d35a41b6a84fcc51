/* SPDX-License-Identifier: MIT */
/* A server that has its own descriptor and timeout (libmicrohttpd's, ours), and is run by the loop. */
#ifndef PIAGENT_LOOP_PUMP_H
#define PIAGENT_LOOP_PUMP_H

#include "agent/base/error.h"
#include "agent/loop/loop.h"

struct pump {
    struct watch *watch;
    struct timer *timer;
    void (*run)(void *user);
    int (*timeout_ms)(void *user); /* until its next run is due; negative: never */
    void *user;
};

/* Runs the server when fd is readable, and when it is due. fd stays the server's. */
int pump_start(struct pump *pump, uv_loop_t *loop, int fd, void (*run)(void *user),
               int (*timeout_ms)(void *user), void *user, struct pi_error *err);
/* To be called before each wait of the loop: since the last one, a stream that was woken or a reply may
 * have made a run due. */
void pump_rearm(struct pump *pump);
void pump_stop(struct pump *pump);

#endif
