/* SPDX-License-Identifier: MIT */
#include "agent/switch/frame.h"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <net/if_arp.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <string.h>

uint16_t frame_type(const uint8_t *frame)
{
    return (uint16_t)(frame[12] << 8 | frame[13]);
}

bool frame_is_group(const uint8_t *frame)
{
    return frame[0] & 1;
}

static bool arp_is_own(const uint8_t *packet, size_t size, const struct frame_owner *owner)
{
    static const struct in_addr none;
    struct ether_arp arp;
    if (size < sizeof arp)
        return false;
    memcpy(&arp, packet, sizeof arp);
    return arp.arp_hrd == htons(ARPHRD_ETHER) && arp.arp_pro == htons(FRAME_IPV4) &&
           arp.arp_hln == FRAME_MAC_SIZE && arp.arp_pln == sizeof owner->address &&
           memcmp(arp.arp_sha, owner->mac, FRAME_MAC_SIZE) == 0 &&
           (memcmp(arp.arp_spa, &owner->address, sizeof owner->address) == 0 ||
            memcmp(arp.arp_spa, &none, sizeof none) == 0);
}

static bool ipv4_is_own(const uint8_t *packet, size_t size, const struct frame_owner *owner)
{
    struct iphdr ip;
    if (size < sizeof ip)
        return false;
    memcpy(&ip, packet, sizeof ip);
    return ip.version == 4 && ip.saddr == owner->address.s_addr;
}

bool frame_is_own(const uint8_t *frame, size_t size, const struct frame_owner *owner)
{
    if (size < FRAME_HEADER_SIZE || size > FRAME_MAX ||
        memcmp(frame + FRAME_MAC_SIZE, owner->mac, FRAME_MAC_SIZE) != 0)
        return false;
    const uint8_t *packet = frame + FRAME_HEADER_SIZE;
    switch (frame_type(frame)) {
    case FRAME_ARP:
        return arp_is_own(packet, size - FRAME_HEADER_SIZE, owner);
    case FRAME_IPV4:
        return ipv4_is_own(packet, size - FRAME_HEADER_SIZE, owner);
    default:
        return false;
    }
}
