/* SPDX-License-Identifier: MIT */
/*
 * The network's own address: it answers ARP, ping, DHCP (dhcp.h), and DNS for the names of the members, and nothing else. A
 * member asks it for "server" or "server.DOMAIN" and for the name of an address; of what else there is it knows nothing, and says so
 * (REFUSED), so that the guest asks its other resolver. Sources: RFC 826, 791, 792, 768; DNS by ldns.
 */
#ifndef PIAGENT_SWITCH_RESOLVER_H
#define PIAGENT_SWITCH_RESOLVER_H

#include "agent/switch/frame.h"
#include "agent/vm/subnet.h"

#define RESOLVER_NAMES_MAX VM_NETWORK_MEMBERS_MAX
#define RESOLVER_TTL_S     5 /* an instance may come and go */

struct resolver_name {
    char name[64]; /* one label */
    struct in_addr address;
};

struct resolver {
    struct frame_owner self;
    unsigned prefix; /* of the network's subnet: how many bits its members' addresses share */
    char domain[64]; /* without dots at its ends */
    struct resolver_name names[RESOLVER_NAMES_MAX];
    size_t count;
};

/* The answer to a frame that its sender, this member, may send (frame_is_own), as a frame of at most FRAME_MAX bytes in reply;
 * its size, or 0 if the frame is not for the resolver. */
size_t resolver_answer(const struct resolver *resolver, const struct frame_owner *from, const uint8_t *frame,
                       size_t size, uint8_t *reply);

#endif
