/* SPDX-License-Identifier: MIT */
/* Networks of a fleet that are needed on several hosts: no agent knows the addresses that another one gives. Pure. */
#ifndef PIAGENT_FLEET_SPAN_H
#define PIAGENT_FLEET_SPAN_H

#include "agent/fleet/plan.h"

/* The subnet of such a network for which the file has none: that of the first host that has the network; else a default
 * subnet that overlaps with no network of any host, of the file, or of the plan so far. Adds an error if there is none. 0, or
 * -ENOMEM. */
int fleet_span_subnet(const struct fleet *fleet, const struct fleet_network *network,
                      const struct fleet_have *have, const struct fleet_plan *plan,
                      struct seed_findings *findings, struct vm_subnet *ret);

/* Chooses an address for each instance that is created in such a network, unless the file says one: fills change.networks.
 * One that is made anew keeps its address. Adds an error if a subnet is full. 0, or -ENOMEM. */
int fleet_span_addresses(const struct fleet *fleet, const struct fleet_have *have,
                         struct seed_findings *findings, struct fleet_plan *plan);

#endif
