/* SPDX-License-Identifier: MIT */
/*
 * What was told of fleets that are on several hosts: their instances elsewhere, and the join secret that all hosts share. It is
 * kept in one small file, and forgotten with the fleet's last instance here.
 */
#ifndef PIAGENT_INSTANCE_FLEETS_FILE_H
#define PIAGENT_INSTANCE_FLEETS_FILE_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/queue.h>
#include <uv.h>

#include "agent/base/error.h"

#define FLEETS_SECRET_DIGITS 64 /* 256 random bits, hexadecimal */
#define FLEETS_ELSEWHERE_MAX 1000

struct fleets_waiter;

/* Zeroed memory is one without a file: nothing is known. */
struct fleets_file {
    uv_loop_t *loop;
    const char *folder; /* absolute, borrowed: pi_paths.state */
    json_t *
        known; /* as on disk: {FLEET: {"join_secret", "peers": [{"name", "role", "index", "arch", "address"}]}} */
    json_t *wanted;  /* as it is to be; the same object if nothing is to be written */
    json_t *writing; /* what a thread writes now; NULL: none does */
    char *text;      /* the same as text */
    uv_work_t request;
    int result;
    struct pi_error failure;
    SLIST_HEAD(, fleets_waiter) waiters;
    bool leaving;      /* the agent ends */
    uint64_t *changes; /* counts how often .known has changed */
};

/* Reads what is known. A damaged file is logged, and what it said is not known any more. */
void fleets_file_open(struct fleets_file *file, uv_loop_t *loop, const char *folder, uint64_t *changes);
/* The agent ends: nothing is forgotten from now on. */
void fleets_file_leave(struct fleets_file *file);
/* The loop has run until it is not busy. */
void fleets_file_close(struct fleets_file *file);

/* The fleet's instances on other hosts, an array, and its secret; NULL: nothing is known. Borrowed, until the loop runs. */
const json_t *fleets_file_peers(const struct fleets_file *file, const char *fleet);
const char *fleets_file_secret(const struct fleets_file *file, const char *fleet);

/* Notes them in place of what was known. then is called when that is on disk, or could not be written: then nothing has changed.
 * PI_USAGE if the peers are not as above. */
int fleets_file_tell(struct fleets_file *file, const char *fleet, const json_t *peers, const char *secret,
                     void (*then)(int result, const struct pi_error *err, void *user), void *user,
                     struct pi_error *err);

/* Forgets all fleets but those that are here. */
void fleets_file_sweep(struct fleets_file *file, bool (*is_here)(const char *fleet, void *user), void *user);

/* Whether a thread still writes: the loop is to run until it does not. */
bool fleets_file_is_busy(const struct fleets_file *file);

#endif
