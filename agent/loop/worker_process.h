/* SPDX-License-Identifier: MIT */
/* A child process that does what would block the agent. agent/worker/protocol.h says how they talk. */
#ifndef PIAGENT_LOOP_WORKER_PROCESS_H
#define PIAGENT_LOOP_WORKER_PROCESS_H

#include "agent/loop/loop.h"
#include "agent/worker/protocol.h"

struct worker;

struct worker_handler {
    /* Borrowed. NULL if the worker reports none. */
    void (*progress)(const json_t *progress, void *user);
    /* Once, when the process has ended: 0 and its result (borrowed), or why it failed. The worker is freed
     * right after. */
    void (*done)(int r, const json_t *result, const struct pi_error *err, void *user);
    /* If it is cancelled, what it has made is thrown away: it has nothing to tidy up. */
    bool disposable;
};

/* All borrowed. */
struct worker_job {
    const char *program; /* an absolute path: the agent's own */
    enum worker_kind kind;
    const json_t *request;
    const struct pi_strv *environment; /* "NAME=VALUE" each, before what every child gets
                                          (agent/base/environ.h); may be NULL */
};

/* Starts a worker. It gets SIGTERM when the agent ends. */
int worker_start(uv_loop_t *loop, const struct worker_job *job, const struct worker_handler *handler,
                 void *user, struct worker **ret, struct pi_error *err);

/* Sends SIGTERM and lets it tidy up by itself, or kills it and its children if it is disposable: done()
 * does not come. *ending counts the workers that were cancelled and have not ended yet. Not from within its
 * callbacks. NULL is fine. */
void worker_cancel(struct worker *worker, unsigned *ending);

#endif
