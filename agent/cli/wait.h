/* SPDX-License-Identifier: MIT */
/* Waiting for machines, one or several at once: until they are ready or stopped, and why they do not become
 * so. */
#ifndef PIAGENT_CLI_WAIT_H
#define PIAGENT_CLI_WAIT_H

#include "agent/cli/follow.h"
#include "agent/cli/options.h"

#define CLI_WAIT_MAX    64  /* machines */
#define CLI_EXIT_SIGNAL 128 /* + the signal's number, as shells have it */

/* How long a boot may show no progress. Emulated guests on two processors with a load of 17 were silent for
 * 15 s at most; users' own modules and scripts can be silent for minutes. The agent gives up on reports
 * before that (agent/vm/silence.h). */
#define CLI_WAIT_LIMIT_MS   900000u
#define CLI_WAIT_LIMIT_HELP "give up after so long without any progress (default: 15m; none: never)"

struct cli_wait {
    bool stopped;        /* wait until they are stopped, else until they are ready */
    bool fresh;          /* made by this command: undone when it is interrupted before the start */
    bool login;          /* tell how to log in */
    bool json;           /* events to standard output, nothing but errors to standard error */
    uint64_t timeout_ms; /* without any progress; 0 = CLI_WAIT_LIMIT_MS, CLI_NEVER = for ever */
};

/* The exit code, or negative with err filled; of several, what went wrong is told at once, and the first
 * one's exit code is returned. Interrupted, the machines go on. */
int cli_wait(const struct cli_wait *how, struct cli_agent *agent, const struct api_instance *instances,
             unsigned count, struct pi_error *err);

/* Interrupted before the guest ran, while the image comes, the disk is made or QEMU starts: nothing of the
 * instance stays; interrupted again meanwhile, it may. 128 and the signal's number, 0 if its guest has run by
 * now, so that nothing was done, or negative with err filled. */
int cli_undo(struct cli_follow *follow, struct pi_error *err);

/* What cloud-init came to, once the view is up: PI_OK or PI_GUEST, and told; with how to log in, where login
 * is set, and the console's words on what failed, where words is. -EAGAIN while its last event is still to
 * come. */
int cli_tell_up(struct cli_follow *follow, bool login, bool words, struct pi_error *err);

/* Why a machine whose view is over ended: negative with err filled, or PI_OK where it was stopped, or stopped
 * itself. */
int cli_tell_over(struct cli_follow *follow, bool words, struct pi_error *err);

/* That its kernel panicked or its boot got stuck (view.trouble), with the console's last words where words
 * is: negative, with err filled. */
int cli_tell_trouble(struct cli_follow *follow, bool words, struct pi_error *err);

/* What cloud-init failed at, and the last lines of the console, indented, on the follow's screen. modules may
 * be empty. */
void cli_tell_last_words(struct cli_follow *follow, const struct pi_strv *modules);

#endif
