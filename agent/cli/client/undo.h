/* SPDX-License-Identifier: MIT */
/* Taking back an instance that this command has just made. */
#ifndef PIAGENT_CLI_UNDO_H
#define PIAGENT_CLI_UNDO_H

#include "agent/cli/client/instance_follow.h"

/* Interrupted before the guest ran, while the image comes, the disk is made or QEMU starts: nothing of the
 * instance stays; interrupted again meanwhile, it may. 128 and the signal's number, 0 if its guest has run by
 * now, so that nothing was done, or negative with err filled. */
int cli_undo(struct cli_follow *follow, struct pi_error *err);

#endif
