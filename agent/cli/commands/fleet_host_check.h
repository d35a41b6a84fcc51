/* SPDX-License-Identifier: MIT */
/* Asks the hosts of a fleet what would keep its instances from being made or started. */
#ifndef PIAGENT_CLI_FLEET_HOST_CHECK_H
#define PIAGENT_CLI_FLEET_HOST_CHECK_H

#include "agent/cli/commands/fleet_hosts.h"
#include "agent/cli/commands/fleet_load.h"

/* One request an entry. Adds an error for each fault to fleet->findings, with the line of the option. Names, addresses and the
 * networks that instances share are the plan's to check. An agent that is too old to be asked is passed over. 0, or negative if an
 * agent does not answer. */
int cli_fleet_check_hosts(const struct cli_fleet_hosts *hosts, struct cli_fleet *fleet,
                          const struct fleet_plan *plan, struct pi_error *err);

#endif
