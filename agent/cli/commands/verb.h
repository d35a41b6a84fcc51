/* SPDX-License-Identifier: MIT */
/*
 * Commands that send the agent one request of the same name for each instance: cmd_pause.c, cmd_kill.c and so
 * on.
 */
#ifndef PIAGENT_CLI_VERB_H
#define PIAGENT_CLI_VERB_H

#include "agent/cli/client/chosen.h"

#define CLI_NAMES_MAX 64

#define CLI_RESULTS_OPTION(values_)                                                                         \
    {                                                                                                       \
        .name = "json", CLI_MEMBER(CLI_FLAG, values_, json), .help = "what came of each instance, as JSON", \
    }

/* reset, pause, resume, reseed: answered at once. */
struct cli_request_options {
    struct cli_selection which;
    bool json;
};
extern const struct cli_option cli_request_options[];
int cli_run_request(const struct cli_call *call, struct pi_error *err);

/* powerdown, kill: followed to the instance's end. */
struct cli_stop_options {
    struct cli_selection which;
    uint64_t timeout_ms, step_ms;
    bool json;
};
#define CLI_STEP_OPTION                                                                                  \
    {                                                                                                    \
        .name = "step-timeout", CLI_MEMBER(CLI_DURATION, cli_stop_options, step_ms), .argument = "TIME", \
        .help = "how long QEMU may take to quit, and on SIGTERM (default: 10s)",                         \
    }

/* *ret_forced: a guest did not power itself off. The exit code, or negative with err filled. */
int cli_run_stop(const struct cli_call *call, bool *ret_forced, struct pi_error *err);

struct cli_task;
/* A cli_act_fn: removes an instance even if it runs: kills it first. The task's request is "kill". */
int cli_remove_by_force(struct cli_task *task, struct api_instance *instance, struct pi_error *err);

#endif
