/* SPDX-License-Identifier: MIT */
/* How a boot, or an instance, came out: told on the follow's screen, with the exit code. */
#ifndef PIAGENT_CLI_OUTCOME_H
#define PIAGENT_CLI_OUTCOME_H

#include "agent/cli/client/instance_follow.h"

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

#endif
