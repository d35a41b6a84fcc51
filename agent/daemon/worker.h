/* SPDX-License-Identifier: MIT */
/* A child process that works for the agent and reports in JSON lines on its standard output; what cannot be
 * done without blocking is done so. */
#ifndef PIAGENT_DAEMON_WORKER_H
#define PIAGENT_DAEMON_WORKER_H

#include "agent/base/fields.h"
#include "agent/daemon/loop.h"

struct worker;

struct worker_handler {
    /* A line with a "phase". Borrowed. */
    void (*progress)(const json_t *line, void *user);
    /* Once, when the process has ended: 0 and its other line, the result (borrowed; NULL where it wrote
     * none), or the failure from its line
     * {"error": {"kind", "message"}}, or how it died. The worker is freed right after. */
    void (*done)(int result, const json_t *result_line, const struct pi_error *err, void *user);
    /* What it makes is thrown away where it is cancelled: it has nothing to tidy up. */
    bool disposable;
};

/* Starts argv (argv[0] is an absolute path); it gets SIGTERM when the agent ends. Its standard error goes to
 * error_fd (borrowed). It gets the settings that every child gets (agent/base/environ.h), and before them
 * those of environment, "NAME=VALUE" each, if that is not NULL. */
int worker_start(uv_loop_t *loop, const char *const *argv, int error_fd, const struct pi_strv *environment,
                 const struct worker_handler *handler, void *user, struct worker **ret, struct pi_error *err);

/* Sends SIGTERM and lets it tidy up by itself, or kills it and its children where it is disposable: done()
 * does not come. *ending counts the workers that were cancelled and have not ended yet. Not from within its
 * callbacks. NULL is fine. */
void worker_cancel(struct worker *worker, unsigned *ending);

#endif
