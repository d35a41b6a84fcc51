/* SPDX-License-Identifier: MIT */
/* Makes the hosts of a fleet one: its networks are linked, and each agent is told of the instances that the others have. */
#ifndef PIAGENT_CLI_FLEET_JOIN_H
#define PIAGENT_CLI_FLEET_JOIN_H

#include "agent/cli/commands/fleet_hosts.h"

/* Asks the agents for the links of the plan. They dial by themselves, again and again. */
int cli_fleet_link(struct cli_fleet_hosts *hosts, const struct fleet *fleet, const struct fleet_plan *plan,
                   struct pi_error *err);

/* Waits until the fleet's networks are linked, and unless quiet, says what for if it takes long. PI_AGENT with the reason if a link
 * does not come up; 128 and its number after a signal. */
int cli_fleet_await_links(struct cli_fleet_hosts *hosts, const struct fleet *fleet, bool quiet,
                          struct pi_error *err);

/* Waits for a while until no other host takes an instance that the plan removes for a member of a linked network: it would refuse
 * another one of that name. 128 and its number after a signal. */
int cli_fleet_await_removed(struct cli_fleet_hosts *hosts, const struct fleet_plan *plan,
                            struct pi_error *err);

/* Tells each agent which instances of the fleet the others have, and all of them one join secret: that of the oldest instance. An
 * agent without an instance of the fleet is told nothing. Does nothing that is done already. */
int cli_fleet_tell_peers(struct cli_fleet_hosts *hosts, const char *fleet, struct pi_error *err);

#endif
