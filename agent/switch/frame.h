/* SPDX-License-Identifier: MIT */
/* Ethernet frames of a network's members: what a member may send. Sources: IEEE 802.3 (header), RFC 826 (ARP),
 * RFC 791 (IPv4), RFC 5227 (ARP probes), RFC 2131 (DHCP). */
#ifndef PIAGENT_SWITCH_FRAME_H
#define PIAGENT_SWITCH_FRAME_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_MAC_SIZE    6
#define FRAME_HEADER_SIZE 14
#define FRAME_MAX         9018 /* an MTU of 9000, the header, and room for a tag */

#define FRAME_ARP  0x0806
#define FRAME_IPV4 0x0800

/* Who a member is on its network. */
struct frame_owner {
    uint8_t mac[FRAME_MAC_SIZE];
    struct in_addr address;
};

/* The type of a frame that is at least FRAME_HEADER_SIZE long. */
uint16_t frame_type(const uint8_t *frame);

/* Whether it is for more than one: a broadcast or a multicast. */
bool frame_is_group(const uint8_t *frame);

/*
 * Whether the owner may send it: it has a header and is no longer than FRAME_MAX; it is ARP or IPv4; and it comes
 * from the owner's MAC and the owner's address. An ARP probe, which asks whether an address is free, comes from no
 * address; and so does frame_is_dhcp(). Any size is safe to ask about.
 */
bool frame_is_own(const uint8_t *frame, size_t size, const struct frame_owner *owner);

/* Whether a DHCP client broadcasts it (UDP from port 68 to port 67). It is for the resolver alone: no other member is to
 * answer it. Any size is safe to ask about. */
bool frame_is_dhcp(const uint8_t *frame, size_t size);

#endif
