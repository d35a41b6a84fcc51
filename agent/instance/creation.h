/* SPDX-License-Identifier: MIT */
/*
 * How an instance comes and goes. A request is checked first, then the image is fetched and the folder filled
 * by workers: all of it, or nothing. The state function (vm/life.h) says which step comes next.
 */
#ifndef PIAGENT_INSTANCE_CREATION_H
#define PIAGENT_INSTANCE_CREATION_H

#include <stdbool.h>

#include "agent/api/types.h"
#include "agent/base/error.h"

struct api_call;
struct instance;
struct instance_host;
struct timer;
struct worker;

struct creation {
    struct api_create request;
    struct worker *worker;
    uint64_t fetched_bytes, expected_bytes; /* of its image's download, as the worker told last */
    struct pi_error failure;                /* why it failed */
    struct timer *timer;      /* how long the followers of a removed one can still read its events */
    struct api_call *remover; /* is answered when the instance is removed; NULL = none */
};

/* Stops its worker. */
void creation_reset(struct instance *instance);
void creation_done(struct instance *instance);

/* Makes an instance of the request, which is taken over in part, and adds it to the host's. */
int instance_create(struct instance_host *host, struct api_create *request, struct instance **ret,
                    struct pi_error *err);
bool creation_is_under_way(const struct instance *instance);
/* Whether its folder is being removed; that ends, even if the folder stays. */
bool creation_is_being_undone(const struct instance *instance);
/* Gives it up; those who follow it are told why when it is gone. */
void creation_give_up(struct instance *instance, const char *why);

/* Carries out the actions of a creation (enum vm_action), after the save. */
void creation_carry_out(struct instance *instance, unsigned actions);
/* The save has ended. */
void creation_saved(struct instance *instance, int result, const struct pi_error *why);
/* Undoes the creation: it failed, or, if reason is NULL, was cancelled. */
void creation_undo(struct instance *instance, enum pi_kind kind, const char *reason);

/* Tells if it is ephemeral, and has run and ended, or could not resume from its template: nothing of it is kept. */
bool creation_is_spent(const struct instance *instance);
/* Removes it. Its end is told to followers when it is gone, and they can read its events for a while. If it cannot be
 * removed, that is told, and the next agent tries again. */
void creation_throw_away(struct instance *instance);
/* PI_CONFLICT: it is ephemeral, and cannot be "cloned" or the like, because that would outlive it. 0 if it is not. */
int creation_refuse_ephemeral(const struct instance *instance, const char *done, struct pi_error *err);

/* Removes all of the instance from the disk, or nothing, and answers the call. It must not be running. If it
 * is being created, that is stopped. */
void instance_remove(struct instance *instance, struct api_call *call);

#endif
