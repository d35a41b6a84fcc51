/* SPDX-License-Identifier: MIT */
/* Tells on the follow's screen how a boot, or an instance, ended, and knows the exit code. */
#ifndef PIAGENT_CLI_OUTCOME_H
#define PIAGENT_CLI_OUTCOME_H

#include "agent/cli/client/instance_follow.h"

/* Tells how the boot ended, once the view is up, and returns PI_OK or PI_GUEST. login: also tells how to log
 * in. words: also shows the console's lines about modules that failed. -EAGAIN while the last event of the
 * boot is still to come. */
int cli_tell_up(struct cli_follow *follow, bool login, bool words, struct pi_error *err);

/* Refuses what a guest that is saved cannot do, with what lets it go on; a template never does. */
int cli_refuse_saved(const char *name, bool template, struct pi_error *err);

/* Tells that the instance goes on after an interrupt of this command, and how to wait for it and to stop it. */
void cli_tell_goes_on(struct cli_follow *follow);

/* Tells why an instance whose view is over ended: negative with err filled, or PI_OK if it was stopped or
 * stopped itself. */
int cli_tell_over(struct cli_follow *follow, bool words, struct pi_error *err);

/* Fails because the kernel panicked or the boot got stuck (view.trouble). words: also shows the console's
 * last lines. */
int cli_tell_trouble(struct cli_follow *follow, bool words, struct pi_error *err);

#endif
