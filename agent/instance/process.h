/* SPDX-License-Identifier: MIT */
/* QEMU's process: started, watched, signalled, and its end read. */
#ifndef PIAGENT_INSTANCE_PROCESS_H
#define PIAGENT_INSTANCE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/proc.h"
#include "agent/instance/launch.h"

struct instance;
struct watch;

struct process {
    struct launch launch;
    struct pi_child child; /* waits to become QEMU until the record tells of it */
    int pidfd;             /* -1: none; another negative value: the -errno of the failed open */
    struct watch *watch;   /* of its end */
    uint64_t ended_ms;     /* CLOCK_MONOTONIC of the last QEMU's end; 0 = none that was seen, or missed */
};

void process_init(struct instance *instance);
void process_reset(struct instance *instance);

/* scope_enter() for its QEMU. */
int process_enter_scope(const struct instance *instance, struct pi_strv *argv, struct pi_error *err);
/* Binds QEMU's sockets and makes its process, which waits: first the record is to tell of it. */
int process_prepare(struct instance *instance, struct pi_error *err);
/* Lets the process become QEMU. On failure there may be a process to be ended. */
int process_go(struct instance *instance, struct pi_error *err);
/* Opens the process that the record names. 0, -ESRCH if it has ended, or another negative errno: that cannot
 * be told now. */
int process_adopt(struct instance *instance);
/* VM_EVENT_EXITED comes when it ends. */
int process_watch(struct instance *instance, struct pi_error *err);
/* Whether that will come. */
bool process_is_watched(const struct instance *instance);
bool process_is_there(const struct instance *instance);
/* 0 or -errno. */
int process_signal(const struct instance *instance, int signal);
/* How much its QEMU uses now. False if none runs. */
bool process_usage(const struct instance *instance, struct pi_usage *ret);
/* The memory of the host that its QEMU has for itself (pi_memory_read()); 0 if none runs. */
uint64_t process_memory_bytes(const struct instance *instance);
/* CLOCK_MONOTONIC of the last end that was seen; 0 = none. */
uint64_t process_ended_ms(const struct instance *instance);

#endif
