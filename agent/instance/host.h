/* SPDX-License-Identifier: MIT */
/*
 * Everything that an instance gets from the program that has it. An instance knows its host and the other
 * instances, and nothing about the agent: a unit test makes a host of its own.
 */
#ifndef PIAGENT_INSTANCE_HOST_H
#define PIAGENT_INSTANCE_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "agent/base/proc.h"
#include "agent/instance/boots_file.h"
#include "agent/instance/fleets_file.h"
#include "agent/lan/lan.h"

struct imds_registry;
struct instance;

LIST_HEAD(instance_list, instance);

/* Callbacks into the program that has the instances. All come from the loop; any may be NULL. */
struct instance_listener {
    /* A journal or a console's log has something new: streams of this topic (api_stream.topic) can go on. */
    void (*wake)(const void *topic, void *user);
    /* The topic ends: its streams should be closed. */
    void (*end)(const void *topic, void *user);
    /* An event that may be shown to followers now: a line of JSON, without its newline. */
    void (*event)(const char *line, size_t size, void *user);
    /* The state of an instance has changed. */
    void (*state)(void *user);
    /* An instance is about to put sockets into the runtime folder: if the folder is gone, it should be made
     * anew. */
    void (*need_runtime)(void *user);
};

/* Strings and descriptors are borrowed, and live as long as the host. */
struct instance_host {
    uv_loop_t *loop;
    const char *folder;  /* of all instances, absolute */
    int folder_fd;       /* the same, open */
    const char *runtime; /* the folder of sockets */
    const char *images;  /* the image store */
    const char *program; /* this executable: workers, and the network of isolated guests */
    char boot_id[PI_BOOT_ID_LENGTH + 1];
    bool bound;          /* QEMUs end with this process, and by no signal but SIGKILL */
    uint64_t started_ms; /* CLOCK_REALTIME: this agent has heard guests since then */
    uint64_t processors; /* of the host: at least one */

    struct imds_registry *registry; /* of the seeds that are served */
    const char *imds_socket;        /* the path where isolated guests' networks reach the seeds */
    uint16_t seed_port;             /* on 127.0.0.1, where all others reach them */
    uint16_t remembered_seed_port;  /* the agent's before; 0 = unknown */
    int seed_port_fd;               /* keeps the port for this user: each QEMU inherits it */

    struct lans lans;               /* the networks that instances share */
    struct boots_file boots;        /* how long boots took, of all instances */
    struct fleets_file fleets;      /* fleets that are on other hosts, too */
    struct instance_list instances; /* all of them; an instance adds and removes itself */
    uint64_t fleet_changes;         /* how often the list of peers of any instance has changed */
    uint64_t downloaded_bytes;      /* of images, by this agent's workers: for metrics */
    uint64_t identified_ms;         /* CLOCK_MONOTONIC: when a guest last took its identity; 0 = none has */
    unsigned writes;                /* threads that write an instance's folder now */
    unsigned ending_workers;        /* workers that were cancelled and have not ended yet */

    const struct instance_listener *listener;
    void *user;
};

void host_wake(const struct instance_host *host, const void *topic);
void host_end(const struct instance_host *host, const void *topic);
void host_event(const struct instance_host *host, const char *line, size_t size);
void host_state(const struct instance_host *host);
void host_need_runtime(const struct instance_host *host);

/* The instance of that name, or NULL. Ghosts (what is left of a failed creation, for those who follow it)
 * only if asked for. */
struct instance *host_find(const struct instance_host *host, const char *name, bool ghosts);

#endif
