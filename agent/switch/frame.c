/* SPDX-License-Identifier: MIT */
#include "agent/switch/frame.h"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <net/if_arp.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
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

bool frame_is_dhcp(const uint8_t *frame, size_t size)
{
    static const uint8_t everybody[FRAME_MAC_SIZE] = {255, 255, 255, 255, 255, 255};
    struct {
        struct iphdr ip;
        struct udphdr udp;
    } packet;
    if (size < FRAME_HEADER_SIZE + sizeof packet || frame_type(frame) != FRAME_IPV4 ||
        memcmp(frame, everybody, sizeof everybody) != 0)
        return false;
    memcpy(&packet, frame + FRAME_HEADER_SIZE, sizeof packet);
    return packet.ip.version == 4 && packet.ip.ihl == sizeof packet.ip / 4 &&
           packet.ip.daddr == htonl(INADDR_BROADCAST) && packet.ip.protocol == IPPROTO_UDP &&
           !(packet.ip.frag_off & htons(IP_MF | IP_OFFMASK)) && packet.udp.source == htons(68) &&
           packet.udp.dest == htons(67);
}

static bool ipv4_is_own(const uint8_t *frame, size_t size, const struct frame_owner *owner)
{
    struct iphdr ip;
    if (size < FRAME_HEADER_SIZE + sizeof ip)
        return false;
    memcpy(&ip, frame + FRAME_HEADER_SIZE, sizeof ip);
    return ip.version == 4 &&
           (ip.saddr == owner->address.s_addr || (ip.saddr == 0 && frame_is_dhcp(frame, size)));
}

bool frame_is_own(const uint8_t *frame, size_t size, const struct frame_owner *owner)
{
    if (size < FRAME_HEADER_SIZE || size > FRAME_MAX ||
        memcmp(frame + FRAME_MAC_SIZE, owner->mac, FRAME_MAC_SIZE) != 0)
        return false;
    switch (frame_type(frame)) {
    case FRAME_ARP:
        return arp_is_own(frame + FRAME_HEADER_SIZE, size - FRAME_HEADER_SIZE, owner);
    case FRAME_IPV4:
        return ipv4_is_own(frame, size, owner);
    default:
        return false;
    }
}
