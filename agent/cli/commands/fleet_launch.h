/* SPDX-License-Identifier: MIT */
/* Does what a fleet's plan says, through the agents of its hosts: one request an instance. */
#ifndef PIAGENT_CLI_FLEET_LAUNCH_H
#define PIAGENT_CLI_FLEET_LAUNCH_H

#include "agent/cli/commands/fleet_hosts.h"
#include "agent/cli/commands/fleet_load.h"
#include "agent/cli/commands/launch_pass.h"
#include "agent/fleet/plan.h"

struct cli_launch {
    struct cli_fleet_hosts *hosts; /* connected */
    const struct cli_fleet *fleet;
    const struct fleet_plan *plan;
    struct cli_pace pace;
    struct cli_wait wait; /* for those that start */
    bool no_start;        /* they are only made */
};

/*
 * Networks and their links, removals, creations, what the hosts are told of each other, then the starts in the order of after:
 * cli_launch_pass(). wait.fresh: an interrupt also removes those that have not started. The exit code of the first failure; after an interrupt 128 and the signal's number; or negative
 * with err filled.
 */
int cli_launch_fleet(const struct cli_launch *launch, struct pi_error *err);

#endif
