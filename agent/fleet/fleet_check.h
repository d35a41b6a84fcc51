/* SPDX-License-Identifier: MIT */
/* Checks what the instances of a fleet are to each other: names, the order of the start, networks, addresses, ports and memory.
 * The values of one instance alone are checked as those of piagent run are. Pure. */
#ifndef PIAGENT_FLEET_CHECK_H
#define PIAGENT_FLEET_CHECK_H

#include "agent/fleet/fleet_file.h"

/* Adds an error for each fault; sets each entry's rank and each network's subnet. Values that are not valid by themselves are
 * passed over. 0, or -ENOMEM. */
int fleet_check(struct fleet *fleet, struct seed_findings *findings);

/* Tells if the file says its address in a network. */
bool fleet_entry_has_address(const struct fleet_entry *entry);

#endif
