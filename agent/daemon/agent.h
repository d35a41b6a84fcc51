/* SPDX-License-Identifier: MIT */
/*
 * The agent: one process a user, one loop. It owns every instance, and is the only writer of their state.
 * Nothing in it waits: what blocks runs in a worker, and what waits for the disk in a thread of libuv's pool.
 */
#ifndef PIAGENT_DAEMON_AGENT_H
#define PIAGENT_DAEMON_AGENT_H

#include <sys/queue.h>

#include "agent/api/control_server.h"
#include "agent/base/paths.h"
#include "agent/daemon/feed.h"
#include "agent/daemon/metrics_port.h"
#include "agent/daemon/runtime.h"
#include "agent/daemon/seed_port.h"
#include "agent/daemon/service.h"
#include "agent/daemon/sleep.h"
#include "agent/instance/host.h"
#include "agent/loop/loop.h"
#include "agent/loop/pump.h"
#include "imds/server.h"

struct agent {
    uv_loop_t loop;
    struct pi_paths paths;
    char *program; /* this executable */
    struct instance_host host;

    struct imds_server *imds;
    struct seed_port seed_port;
    char *imds_socket; /* the path of the socket where isolated guests reach the seeds */
    struct pump imds_pump;
    struct api_server *api;
    struct pump api_pump;
    struct metrics_port metrics;
    struct service service;
    struct runtime sockets;
    struct timer *ping_timer, *sleep_timer;
    struct host_sleep sleep;
    struct feed feed;
};

/* How many instances have a QEMU. */
uint64_t agent_running(const struct agent *agent);

/* Ends the loop, and says in the lock's file that this was asked for. */
void agent_stop(struct agent *agent);

#endif
