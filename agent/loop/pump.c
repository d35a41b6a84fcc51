/* SPDX-License-Identifier: MIT */
#include "agent/loop/pump.h"

#include <errno.h>

#include "agent/base/auto.h"

static void run_server(void *user)
{
    struct pump *pump = user;
    pump->run(pump->user);
}

int pump_start(struct pump *pump, uv_loop_t *loop, int fd, void (*run)(void *user),
               int (*timeout_ms)(void *user), void *user, struct pi_error *err)
{
    *pump = (struct pump){.run = run, .timeout_ms = timeout_ms, .user = user};
    pump->timer = timer_new(loop, run_server, pump);
    pump->watch = pump->timer ? watch_new(loop, fd, run_server, pump) : NULL;
    return pump->watch ? 0 : pi_fail(err, ENOMEM, "cannot run a server");
}

void pump_rearm(struct pump *pump)
{
    int ms = pump->timer ? pump->timeout_ms(pump->user) : -1;
    if (ms >= 0)
        timer_set(pump->timer, (uint64_t)ms);
    else
        timer_clear(pump->timer);
}

void pump_stop(struct pump *pump)
{
    watch_free(pi_steal(pump->watch));
    timer_free(pi_steal(pump->timer));
}
