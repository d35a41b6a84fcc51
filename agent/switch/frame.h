/* SPDX-License-Identifier: MIT */
/* Ethernet frames of a network's members, and which of them a member may send. Sources: IEEE 802.3 (header), RFC 826 (ARP),
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
#define FRAME_IPV6 0x86dd

/* The addresses that a member sends from. */
struct frame_owner {
    uint8_t mac[FRAME_MAC_SIZE];
    struct in_addr address;
};

/* What the switch has carried for a member, or over a trunk. */
struct frame_counters {
    uint64_t received_frames, received_bytes; /* from the member, or from the other switch */
    uint64_t sent_frames, sent_bytes;         /* to it */
    uint64_t ipv6;    /* from it: every guest sends some by itself, and a network carries none */
    uint64_t refused; /* from it: not from an own address, or broadcasts or questions beyond the rate */
    uint64_t lost;    /* to it: it was not there, or did not take them in time */
};

/* The type of a frame that is at least FRAME_HEADER_SIZE long. */
uint16_t frame_type(const uint8_t *frame);

/* Whether it is a broadcast or a multicast. The frame is at least FRAME_HEADER_SIZE long. */
bool frame_is_group(const uint8_t *frame);

/*
 * Whether the owner may send the frame. It must have a header, be no longer than FRAME_MAX, be ARP or IPv4, and come from
 * the owner's MAC and address. Two kinds may come from 0.0.0.0: ARP probes, which ask whether an address is free, and what
 * frame_is_dhcp() is true for. The frame may be of any size.
 */
bool frame_is_own(const uint8_t *frame, size_t size, const struct frame_owner *owner);

/* Whether the frame is a DHCP client's broadcast (UDP from port 68 to port 67). Only the resolver gets these, so that no
 * member can answer one. The frame may be of any size. */
bool frame_is_dhcp(const uint8_t *frame, size_t size);

#endif
