/* SPDX-License-Identifier: MIT */
/* Does something to several instances, one after the other or side by side, and collects the results. */
#ifndef PIAGENT_CLI_TASK_H
#define PIAGENT_CLI_TASK_H

#include "agent/cli/client/chosen.h"

struct cli_task {
    struct cli_agent agent;
    struct cli_chosen chosen; /* one without a name has failed, and that was told */
    const char *request;      /* POST /v1/instances/NAME/request */
    const json_t *body;       /* borrowed, or NULL */
    bool forced;              /* a guest did not power itself off */
    json_t *results;          /* --json: an object for each instance, {"name"} and its result; or NULL */
    bool events;              /* --json of a command that prints events: events and errors are JSON lines */
};

/* Connects to the agent and looks up the instances (cli_choose()). Tells if a selection leaves none, unless JSON is
 * wanted. */
int cli_task_begin(struct cli_task *task, const struct cli_call *call, const struct cli_selection *selection,
                   enum cli_kind kind, bool json, struct pi_error *err);
/* Prints the results, if JSON is wanted. code is the command's exit code so far. */
int cli_task_end(const struct cli_task *task, int code, struct pi_error *err);
void cli_task_done(struct cli_task *task);
#define pi_auto_task __attribute__((cleanup(cli_task_done)))

typedef int cli_act_fn(struct cli_task *task, struct api_instance *instance, struct pi_error *err);

/* Does act to each instance. If one fails, its error is told at once, and the others follow all the same. An
 * act that was interrupted ends it, and its exit code is returned, 128 and the signal's number. Otherwise
 * returns the exit code of the first failure, or 0. */
int cli_task_each(struct cli_task *task, cli_act_fn *act);

/* The result of an instance, to add to; NULL without --json. Borrowed. */
json_t *cli_task_result(struct cli_task *task, const struct api_instance *instance);

/* The request. If its end is reached already, *instance is as the agent answers, with .already; and
 * cli_task_request() tells that. */
cli_act_fn cli_task_post, cli_task_request;

/* How a stop ended, for people. *ret_forced is set if the guest did not have its say. */
const char *cli_ended_by(enum api_stopped_by end, bool *ret_forced);

/* Waits until it has stopped and tells how, unless it was stopped already. */
cli_act_fn cli_task_await_stop;

/* Waits until its state is saved, unless it was so already. PI_FAILED if it runs on. */
cli_act_fn cli_task_await_suspend;

/* ask (cli_task_request: powerdown, kill) to all, then the wait for all, so that they stop side by side. The exit code. */
int cli_task_stop(struct cli_task *task, cli_act_fn *ask);

#endif
