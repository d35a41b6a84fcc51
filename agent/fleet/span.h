/* SPDX-License-Identifier: MIT */
/* Networks of a fleet that are needed on several hosts: no agent knows the addresses that another one gives, nor with whom it is to
 * be linked. Pure. */
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

/* A link between two hosts, as one of them shows it. */
enum fleet_link_state {
    FLEET_LINK_NONE,
    FLEET_LINK_NOTED, /* one of the two dials */
    FLEET_LINK_CONNECTED
};

/* How two hosts' network is linked. *ret_reason is why it is not connected, "" if that is not known; borrowed. */
enum fleet_link_state fleet_span_look(const struct fleet *fleet, const struct fleet_network *network,
                                      const struct fleet_have *have, size_t a, size_t b,
                                      const char **ret_reason);

/* Adds the links that the network needs and does not have: one between each two of its hosts. */
void fleet_span_links(const struct fleet *fleet, const struct fleet_network *network,
                      const struct fleet_have *have, struct fleet_plan *plan);

#endif
