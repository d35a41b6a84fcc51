/* SPDX-License-Identifier: MIT */
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
#ifndef PIAGENT_CLI_INSTANCE_FOLLOW_H
#define PIAGENT_CLI_INSTANCE_FOLLOW_H

#include <poll.h>
#include <signal.h>

#include "agent/base/lines.h"
#include "agent/base/random.h"
#include "agent/cli/client/connect.h"
#include "agent/cli/client/instance_view.h"
#include "agent/cli/terminal/screen.h"

#define CLI_EXIT_SIGNAL 128 /* + the signal's number, as shells have it */

struct cli_follow {
    struct cli_agent *agent;
    char uuid[PI_UUID_LENGTH + 1]; /* another instance may get its name */
    struct cli_view view;
    struct cli_screen screen;
    int signal; /* SIGINT, SIGTERM or SIGHUP came: set it back to 0 */

    bool json; /* events go to standard output as JSON lines, each with the name of its instance */
    bool silence_told;
    uint64_t asked_seq; /* the newest event when the agent last said that it is not up: cli_follow_up() */
    bool settled;       /* nothing more of it is shown: set by the caller */
    bool resumed;       /* it has resumed, and that was told: the caller's */
    bool brief;         /* of a leader: on a terminal no line stays, and failures are the caller\'s to tell */
    char rest[96]; /* of a leader: what the display's last line says of instances that are not followed */

    struct cli_follow *leader,
        *next;         /* the rest is private; the leader has the signals and the screen of all */
    uint64_t known;    /* seq: events up to it are no news */
    uint64_t heard_ms; /* monotonic: its last event or other sign of life */
    int signal_fd;
    sigset_t old_mask;
    struct api_transfer *transfer;
    struct pi_lines lines;
    bool ended;
    int result;
    struct pi_error error;
    unsigned breaks;
};

/* Starts with the events after instance->last_event; set that to 0 for all of them. Earlier events of the
 * boot that is under way update the view, and are not told. On failure there is nothing to close. */
int cli_follow_open(struct cli_follow *follow, struct cli_agent *agent, const struct api_instance *instance,
                    struct pi_error *err);

/* Gets the instance as it is now: the view is old if this command was stopped. PI_NOT_FOUND if the instance
 * is gone, even if another one has its name. */
int cli_follow_look(const struct cli_follow *follow, struct api_instance *ret, struct pi_error *err);

/* Asks the agent if the guest is up, once the view is, and again after each event. *ret_up is CLI_NOT_UP until
 * the agent and the events agree that it is; *ret is the instance then, which is the caller's. */
int cli_follow_up(struct cli_follow *follow, enum cli_up *ret_up, struct api_instance *ret,
                  struct pi_error *err);

/* From here on, signals wait for the follow that is opened next: no signal then ends the command between the
 * request that makes an instance and its follow. */
void cli_follow_hold_signals(void);

/* Takes one of those that are held, also while a follow is open, and waits so long for it. 0: none came. */
int cli_follow_take_signal(unsigned patience_ms);

/* Follows another instance beside leader: its lines and status appear on the leader's screen, and the
 * leader's step is its step, too. Close it before its leader. The agent is the leader's, or one whose client shares
 * the leader's (api_client_share()). */
int cli_follow_join(struct cli_follow *follow, struct cli_follow *leader, struct cli_agent *agent,
                    const struct api_instance *instance, struct pi_error *err);

/* How long the instance has been quiet: no event, no byte on its console. The agent is asked about the
 * console only if there was no event for limit_ms. */
uint64_t cli_follow_quiet_ms(struct cli_follow *follow, uint64_t limit_ms);

/* Waits for something to happen, at most a second. It also waits for extra, at most 2 of them. Fails with the
 * instance's own error if it is gone; if other follows have joined, each view keeps its own error. */
int cli_follow_step(struct cli_follow *follow, struct pollfd *extra, unsigned extra_count,
                    struct pi_error *err);

/* Ends the follow: removes the status line, and gives signals their old effect. Does nothing on zeroed
 * memory. */
void cli_follow_close(struct cli_follow *follow);
#define pi_auto_follow __attribute__((cleanup(cli_follow_close)))

#endif
