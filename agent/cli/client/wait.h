/* SPDX-License-Identifier: MIT */
/* Waits for instances, one or several at once, until they are ready (a template: saved) or stopped, and tells why they do not
 * become so. */
#ifndef PIAGENT_CLI_WAIT_H
#define PIAGENT_CLI_WAIT_H

#include "agent/cli/client/instance_follow.h"
#include "agent/cli/terminal/options.h"

#define CLI_WAIT_MAX 512 /* instances: a connection each */

/* How long a boot may show no progress. Emulated guests on two processors with a load of 17 were silent for
 * 15 s at most; users' own modules and scripts can be silent for minutes. The agent gives up on reports
 * before that (agent/vm/silence.h). */
#define CLI_WAIT_LIMIT_MS   900000u
#define CLI_WAIT_LIMIT_HELP "give up after so long without any progress (default: 15m; none: never)"

struct cli_wait {
    bool stopped;           /* wait until they are stopped, else until they are ready */
    bool made;              /* wait until they are made, which is before they start */
    bool fresh;             /* made by this command: undone when it is interrupted before the start */
    bool login;             /* tell how to log in */
    bool caller_ends_it;    /* if it shows no progress: nobody can look at its console afterwards */
    bool caller_tells_rest; /* after an interrupt the caller tells what became of them */
    bool brief;             /* on a terminal only failures get a line that stays */
    bool calm;              /* nobody waits for it: the status is no line */
    bool json;              /* events to standard output, nothing but errors to standard error */
    uint64_t timeout_ms;    /* without any progress; 0 = CLI_WAIT_LIMIT_MS, CLI_NEVER = for ever */
};

/* The exit code, or negative with err filled. With several instances, each failure is told at once, and the
 * first one's exit code is returned. After an interrupt the instances run on. */
int cli_wait(const struct cli_wait *how, struct cli_agent *agent, const struct api_instance *instances,
             unsigned count, struct pi_error *err);

/* Instances that come while others are waited for. */
struct cli_wait_source {
    /* Gives the next instance to wait for: 1 with *ret, the caller's, and its agent; 0 if none may come now; or negative with err
     * filled, which ends the wait. waiting: for so many the wait goes on. Agents of several hosts share their clients. */
    int (*next)(void *user, unsigned waiting, struct cli_agent **ret_agent, struct api_instance *ret,
                struct pi_error *err);
    /* One of a template has resumed, and knows who it is. */
    void (*resumed)(void *user, const char *name);
    /* The wait for one is over; code is its exit code, and its failure was told. */
    void (*over)(void *user, const char *name, int code);
    /* Says in a few words how it is with the others, for the display's last line: "12 to start, 5 ready"; or "". */
    void (*rest)(void *user, char *ret, size_t size);
    void *user;
};

/* Waits for each that comes, up to the first time that none is waited for and none comes. The exit code of the first failure;
 * after an interrupt, 128 and the signal's number. */
int cli_wait_each(const struct cli_wait *how, const struct cli_wait_source *source, struct pi_error *err);

#endif
