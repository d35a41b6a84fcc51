/* SPDX-License-Identifier: MIT */
/*
 * DHCP at the network's own address: it tells a member the address that the member has anyway, so that a guest whose network
 * manager asks for one does not wait in vain. It keeps no state. Sources: RFC 2131; options: RFC 2132, RFC 6842.
 *
 * It names no router and no name server: both stay those of the guest's first interface. A client that keeps one list of name
 * servers would forget the others, and the resolver answers for the members' names only. The seed's boot hook adds it.
 */
#ifndef PIAGENT_SWITCH_DHCP_H
#define PIAGENT_SWITCH_DHCP_H

#include "agent/switch/resolver.h"

#define DHCP_SERVER_PORT 67
#define DHCP_SIZE_MAX    548 /* RFC 2131, 2: what every client takes */
#define DHCP_LEASE_S     (7 * 24 * 60 * 60)

/* The answer to a message of this client, of at most DHCP_SIZE_MAX bytes, and where it goes; 0 if there is none. The client's
 * address is of the plan, whatever the message claims. */
size_t dhcp_answer(const struct resolver *resolver, const struct frame_owner *client, const uint8_t *message,
                   size_t size, uint8_t *reply, struct in_addr *to);

#endif
