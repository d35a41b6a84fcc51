/*
 * Following an instance: its events come in, the view and the screen are kept up to date, signals are caught
 * for the caller to act on. The caller owns the loop:
 *
 *     while (!cli_view_is_up(&follow.view) && !cli_view_is_over(&follow.view)) {
 *         if ((r = cli_follow_step(&follow, NULL, 0, err)) < 0)
 *             return r;
 *         if (follow.signal) ...
 *     }
 *
 * An agent that dies meanwhile is started again, and the following goes on where it was; one that was stopped
 * in order ends it.
 */
#ifndef PIAGENT_CLI_FOLLOW_H
#define PIAGENT_CLI_FOLLOW_H

#include <poll.h>
#include <signal.h>

#include "agent/base/lines.h"
#include "agent/cli/connect.h"
#include "agent/cli/screen.h"
#include "agent/cli/view.h"

struct cli_follow {
    struct cli_agent *agent;
    struct cli_view view;
    struct cli_screen screen;
    int signal; /* SIGINT, SIGTERM or SIGHUP came: set it back to 0 */

    int signal_fd; /* the rest is the follow's own */
    sigset_t old_mask;
    struct api_transfer *transfer;
    struct pi_lines lines;
    bool ended;
    int result;
    struct pi_error error;
    unsigned breaks;
};

/* Starts with the events after instance->last_event; set that to 0 for all of them. On failure there is
 * nothing to close. */
int cli_follow_open(struct cli_follow *follow, struct cli_agent *agent, const struct api_instance *instance,
                    struct pi_error *err);

/* Waits for something to happen, at most a second. extra, at most 2, are waited for besides. Fails with the
 * instance's own error where it is gone. */
int cli_follow_step(struct cli_follow *follow, struct pollfd *extra, unsigned extra_count,
                    struct pi_error *err);

/* Ends it: the status line goes, signals are as before. Does nothing on zeroed memory. */
void cli_follow_close(struct cli_follow *follow);
#define pi_auto_follow __attribute__((cleanup(cli_follow_close)))

#endif
