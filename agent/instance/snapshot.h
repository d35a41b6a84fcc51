/* SPDX-License-Identifier: MIT */
/*
 * The snapshots of an instance (vm/snapshot_folder.h): of one at rest its disk, and its saved state if it has one; of one that runs
 * disk and RAM at one moment. A worker does what takes its time; of one that runs, QEMU is then asked (state_save.h), and the
 * guest goes on, whatever fails. One job at a time: its request is answered when it has ended.
 */
#ifndef PIAGENT_INSTANCE_SNAPSHOT_H
#define PIAGENT_INSTANCE_SNAPSHOT_H

#include <stdbool.h>

#include "agent/api/types.h"
#include "agent/base/error.h"
#include "agent/worker/protocol.h"

struct api_call;
struct instance;
struct timer;
struct worker;

enum snapshot_stage {
    SNAPSHOT_IDLE,
    SNAPSHOT_WORKS, /* the worker does */
    SNAPSHOT_SAVES, /* QEMU freezes the disk and writes the RAM: the guest stands still */
    SNAPSHOT_KEEPS, /* the guest goes on, and threads make the files durable */
    SNAPSHOT_MOVES, /* a restore is decided: its files take their places */
};

struct snapshots {
    enum snapshot_stage stage;
    enum worker_snapshot_action action;
    struct worker *worker;
    struct timer *timer;   /* tries again to finish a restore */
    struct api_call *call; /* waits for the end of the job; NULL = none */
    char tag[PI_NAME_MAX + 1];
    char layer[32];
    int layer_before;             /* that the disk of one that runs stood on */
    bool switches;                /* QEMU writes to the new disk, or may do so */
    char parent[PI_NAME_MAX + 1]; /* of one that is being removed */
    unsigned count;               /* how many there are */
};

/* The agent ends, or the instance is gone. The next agent finishes a restore that is decided. */
void snapshot_end(struct instance *instance);
/* At the start of an agent: counts them, and sweeps. */
void snapshot_recall(struct instance *instance);

/* The requests: each answers the call when it is done. A tag of NULL is the next free one. */
void snapshot_create(struct instance *instance, struct api_call *call, const char *tag);
void snapshot_restore(struct instance *instance, struct api_call *call, const char *tag, bool cold);
void snapshot_remove(struct instance *instance, struct api_call *call, const char *tag);
unsigned snapshot_count(const struct instance *instance);
/* An array of api_snapshot_fields, oldest first. NULL without memory. */
json_t *snapshot_list(const struct instance *instance);

/* PI_CONFLICT while a job is under way. */
int snapshot_refuse_busy(const struct instance *instance, struct pi_error *err);

/* For the save (state_save.h). */

/* Whether what is saved is for a snapshot. */
bool snapshot_is_saving(const struct instance *instance);
/* The folder of the snapshot that is being made: a descriptor, the caller's; or -1 with errno. */
int snapshot_open(const struct instance *instance);
/* The layer that its disk becomes: "base-2.qcow2". */
const char *snapshot_layer(const struct instance *instance);
/* QEMU is asked to write to the new disk; or, with false, has refused it. */
void snapshot_note_switch(struct instance *instance, bool switches);
/* QEMU has written everything, and the guest may go on. */
void snapshot_goes_on(struct instance *instance);
/* Everything is durable, or, with err, is not. */
void snapshot_kept(struct instance *instance, const struct pi_error *err);
/* Nothing comes of it, if it was saving. */
void snapshot_broke_off(struct instance *instance, const char *why);

#endif
