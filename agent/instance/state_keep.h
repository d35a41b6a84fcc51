/* SPDX-License-Identifier: MIT */
/* Threads make the files of a saved state durable when QEMU has written the RAM: the RAM's first, then the description, which
 * has its size and digest. */
#ifndef PIAGENT_INSTANCE_STATE_KEEP_H
#define PIAGENT_INSTANCE_STATE_KEEP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "agent/base/error.h"
#include "agent/vm/saved.h"

struct instance;

struct keeping {
    uv_work_t request; /* its data is this struct */
    struct instance *instance;
    int dir_fd; /* of the folder of the files */
    int ram_fd; /* QEMU wrote the RAM through it, so that its fsync() tells of each write that failed */
    struct vm_saved saved;
    uint64_t template_bytes; /* that the file of a template's RAM takes of the disk */
    int result;              /* of the thread; negative: failure says why */
    struct pi_error failure;
};

/* Takes the state that QEMU has written over from instance->saved_state. layer: as in vm_saved_look(). */
void keeping_begin(struct instance *instance, const char *layer, uv_work_cb work, uv_after_work_cb done);
/* Another thread, after the first. */
void keeping_queue(struct keeping *keeping, uv_work_cb work, uv_after_work_cb done);
/* For a thread: makes all durable. */
void keeping_write(uv_work_t *request);
/* Each `done` begins with it. Returns the struct of the request, and counts the thread as ended (host.writes). */
struct keeping *keeping_of(uv_work_t *request);
/* Whether the instance still waits for the state. */
bool keeping_counts(const struct keeping *keeping);
void keeping_end(struct keeping *keeping);

#endif
