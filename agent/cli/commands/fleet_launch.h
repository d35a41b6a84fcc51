/* SPDX-License-Identifier: MIT */
/* Does what a fleet's plan says, through the agents of its hosts: one request an instance. */
#ifndef PIAGENT_CLI_FLEET_LAUNCH_H
#define PIAGENT_CLI_FLEET_LAUNCH_H

#include "agent/cli/commands/fleet_hosts.h"
#include "agent/cli/commands/fleet_load.h"
#include "agent/fleet/plan.h"

struct cli_launch {
    struct cli_fleet_hosts *hosts; /* connected */
    const struct cli_fleet *fleet;
    const struct fleet_plan *plan;
    uint64_t parallel; /* boots at a time on a host; 0 = what the host can carry */
    uint64_t timeout_ms;
    bool overcommit, json;
};

/*
 * Networks, removals, creations, then the starts in the order of after. A failure of one instance is told at once, and the
 * others go on, except those that are after it. The exit code of the first failure; after an interrupt 128 and the signal's
 * number; or negative with err filled.
 */
int cli_launch_fleet(const struct cli_launch *launch, struct pi_error *err);

#endif
