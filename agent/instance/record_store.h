/* SPDX-License-Identifier: MIT */
/*
 * An instance's folder on disk. A thread of libuv's pool writes it: one write at a time, the newest state
 * only. Whatever may only happen when the state that it comes from is on disk waits here: actions, events,
 * answers to requests, and the next step of a creation or a start.
 */
#ifndef PIAGENT_INSTANCE_RECORD_STORE_H
#define PIAGENT_INSTANCE_RECORD_STORE_H

#include <stdbool.h>
#include <sys/queue.h>
#include <uv.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"

struct api_call;
struct instance;
struct timer;

/* The next step, when the folder is written or removed. If that failed, result is negative, and why has the
 * reason. */
typedef void (*store_then_fn)(struct instance *instance, int result, const struct pi_error *why);

struct record_store {
    uv_work_t request;
    bool busy;   /* a thread is at work: text and failure are its own */
    bool wanted; /* the record has changed since it was last given to a thread */
    bool fresh;  /* nothing of the folder is written yet, not even that it is there */
    enum { STORE_KEPT, STORE_TO_GO, STORE_GOING, STORE_GONE } removal;
    struct pi_buf user_data; /* of a fresh one */
    char *text;              /* of the record */
    int result;              /* of the newest write, with why */
    bool
        saved_on_record; /* that write failed, and the record that is there says that its saved state counts */
    struct pi_error failure;
    unsigned due; /* enum vm_action */
    store_then_fn then;
    STAILQ_HEAD(, answer) answers;
    bool unsaved;        /* the record as it is could not be written */
    struct timer *timer; /* tries that again, and the journal */
};

void store_init(struct instance *instance);
/* No save is tried again. */
void store_stop(struct instance *instance);
void store_done(struct instance *instance);

/* The folder is new: the first write writes the user-data too, which is taken over. */
void store_begin(struct instance *instance, struct pi_buf *user_data);

/* Writes the record. If that fails (a full disk), says so once and tries again until it is written. */
void store_save(struct instance *instance);
/* store_save() will follow: what is told until then waits for it. */
void store_expect_save(struct instance *instance);
bool store_is_saving(const struct instance *instance);
void store_save_later(struct instance *instance);
/* Like store_save(), and goes on with a next step, which deals with a failure itself. */
void store_save_then(struct instance *instance, store_then_fn then);
/* Carries the actions out when everything that was to be saved before is saved. */
void store_when_saved(struct instance *instance, unsigned actions);
/* Whether one of these actions still waits. */
bool store_has_due(const struct instance *instance, unsigned actions);
/* Forgets the actions and the next step that wait. */
void store_forget_plans(struct instance *instance);

/* Answers a request with the view of the instance, when that is saved; already: api_instance.already. */
void store_answer(struct instance *instance, struct api_call *call, unsigned status, bool already);
/* Answers the requests that wait with an error instead. If the instance was detached, it forgets them. */
void store_refuse_waiting(struct instance *instance, const struct pi_error *err);

/* Removes the folder, all of it or nothing. Meanwhile, and afterwards, nothing is saved. */
void store_discard(struct instance *instance, store_then_fn then);
/* Whether that was asked for, and has not failed. */
bool store_is_discarding(const struct instance *instance);

#endif
