/* SPDX-License-Identifier: MIT */
/* Taking back an instance that this command has just made. */
#ifndef PIAGENT_CLI_UNDO_H
#define PIAGENT_CLI_UNDO_H

#include "agent/cli/client/connect.h"
#include "agent/cli/terminal/screen.h"

enum cli_undo {
    CLI_UNDO_RAN,  /* its guest has run by now: nothing was done */
    CLI_UNDO_DONE, /* nothing of it is left, which was told */
    CLI_UNDO_CUT,  /* interrupted again: it may still be there, which was told */
};

/* The command was interrupted: removes the instance, unless its guest has run. That may be while the image comes, the disk is
 * made or QEMU starts. Signals are held (cli_follow_hold_signals()). uuid: another instance may get the name. 0 with *ret, or
 * negative with err filled. */
int cli_undo(struct cli_agent *agent, const char *name, const char *uuid, struct cli_screen *screen,
             enum cli_undo *ret, struct pi_error *err);

#endif
