/* SPDX-License-Identifier: MIT */
/*
 * The agent: one process a user, one loop. It owns every instance, and is the only writer of their state.
 * Nothing in it waits: what blocks runs in a worker, and what waits for the disk in a thread of libuv's pool.
 */
#ifndef PIAGENT_DAEMON_AGENT_H
#define PIAGENT_DAEMON_AGENT_H

#include <sys/queue.h>

#include "agent/api/server.h"
#include "agent/base/paths.h"
#include "agent/base/proc.h"
#include "agent/daemon/feed.h"
#include "agent/daemon/runtime.h"
#include "agent/daemon/seed_port.h"
#include "agent/daemon/service.h"
#include "agent/loop/loop.h"
#include "agent/vm/boot_times.h"
#include "imds/server.h"

struct instance;

/* A server that brings its own descriptor and timeout (libmicrohttpd's, ours) and is run by the loop. */
struct pump {
    struct watch *watch;
    struct timer *timer;
    struct agent *agent;
    void (*run)(struct agent *agent);
    int (*timeout_ms)(struct agent *agent);
};

/* How long the host had slept since its boot, when it was last looked at. */
struct host_sleep {
    bool known;
    uint64_t asleep_ms;
};

struct agent {
    uv_loop_t loop;
    struct pi_paths paths;
    char boot_id[PI_BOOT_ID_LENGTH + 1];
    char *program; /* this executable, for workers */
    uint64_t started_ms;
    int instances_fd; /* the folder of all instances */

    struct imds_registry *registry;
    struct imds_server *imds;
    struct seed_port seed_port;
    char *imds_socket; /* the same for isolated guests, who come over a unix socket: its path */
    struct pump imds_pump;
    struct api_server *api;
    struct pump api_pump;
    struct service service;
    struct runtime sockets;
    struct timer *ping_timer, *sleep_timer;
    struct host_sleep sleep;

    LIST_HEAD(, instance) instances;
    unsigned writes; /* that threads are at */
    unsigned ending_workers;
    struct vm_boots boots; /* how long earlier ones took */
    struct {
        uv_work_t request;
        bool busy, wanted;
        char *text;
        struct pi_error failure;
        int result;
    } boots_file;
    struct feed feed;
};

/* Streams that follow topic have something new. */
void agent_wake(struct agent *agent, const void *topic);

/* The instance of that name, or NULL. Ghosts (what is left of a failed creation, for its followers) only
 * where asked. */
struct instance *agent_find(struct agent *agent, const char *name, bool ghosts);

/* How many machines have a QEMU. */
uint64_t agent_running(const struct agent *agent);

/* What "systemctl status" shows beside the agent. */
void agent_tell_status(const struct agent *agent);

/* Ends the loop, and says in the lock's file that this was asked for. */
void agent_stop(struct agent *agent);

/* Answers one request of the control API (routes.c). */
void agent_route(struct api_call *call, void *user);

/* From now on guests' clocks are looked after when the host has slept (clock.c). */
int agent_watch_sleep(struct agent *agent, struct pi_error *err);
/* How long the host slept since this was last asked; pure. 0 at the first time. */
uint64_t clock_slept_ms(struct host_sleep *sleep, uint64_t boottime_ms, uint64_t monotonic_ms);

/* Gives up each creation under way; its followers are told why when it is gone (create.c). */
void agent_undo_creations(struct agent *agent, const char *why);
/* Whether there is one still. */
bool agent_is_creating(const struct agent *agent);

/* Reads every instance's folder and takes over what runs (adopt.c). */
int agent_adopt_all(struct agent *agent, struct pi_error *err);

#endif
