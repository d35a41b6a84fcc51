/* SPDX-License-Identifier: MIT */
#include "agent/vm/subnet.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"

static uint32_t prefix_mask(unsigned prefix)
{
    return prefix ? ~UINT32_C(0) << (32 - prefix) : 0;
}

static uint32_t first_number(const struct vm_subnet *subnet)
{
    return ntohl(subnet->address.s_addr);
}

static uint32_t last_number(const struct vm_subnet *subnet)
{
    return first_number(subnet) | ~prefix_mask(subnet->prefix);
}

static struct in_addr from_number(uint32_t number)
{
    return (struct in_addr){htonl(number)};
}

/* RFC 1918 */
static bool is_private(const struct vm_subnet *subnet)
{
    static const struct {
        uint32_t first;
        unsigned prefix;
    } blocks[] = {{0x0a000000, 8}, {0xac100000, 12}, {0xc0a80000, 16}};
    for (size_t i = 0; i < PI_ARRAY_SIZE(blocks); i++)
        if (subnet->prefix >= blocks[i].prefix &&
            (first_number(subnet) & prefix_mask(blocks[i].prefix)) == blocks[i].first)
            return true;
    return false;
}

int vm_subnet_parse(const char *text, struct vm_subnet *ret, struct pi_error *err)
{
    char address[INET_ADDRSTRLEN], rest;
    struct vm_subnet subnet;
    if (sscanf(text, "%15[0-9.]/%2u%c", address, &subnet.prefix, &rest) != 2 ||
        inet_pton(AF_INET, address, &subnet.address) != 1)
        return pi_refuse(err, PI_USAGE, "'%s' is not a subnet: write it as 10.77.0.0/24", text);
    if (subnet.prefix < VM_PREFIX_MIN || subnet.prefix > VM_PREFIX_MAX)
        return pi_refuse(err, PI_USAGE, "the subnet %s is not from /%d to /%d", text, VM_PREFIX_MIN,
                         VM_PREFIX_MAX);
    if (first_number(&subnet) & ~prefix_mask(subnet.prefix)) {
        struct vm_subnet meant = {from_number(first_number(&subnet) & prefix_mask(subnet.prefix)),
                                  subnet.prefix};
        char better[VM_SUBNET_TEXT_SIZE];
        vm_subnet_format(&meant, better);
        return pi_refuse(err, PI_USAGE, "the subnet %s has bits of an address in it: did you mean %s?", text,
                         better);
    }
    if (!is_private(&subnet))
        return pi_refuse(
            err, PI_USAGE,
            "the subnet %s is not private: choose one of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16", text);
    *ret = subnet;
    return 0;
}

void vm_address_format(struct in_addr address, char ret[INET_ADDRSTRLEN])
{
    inet_ntop(AF_INET, &address, ret, INET_ADDRSTRLEN);
}

void vm_subnet_format(const struct vm_subnet *subnet, char ret[VM_SUBNET_TEXT_SIZE])
{
    char address[INET_ADDRSTRLEN];
    vm_address_format(subnet->address, address);
    snprintf(ret, VM_SUBNET_TEXT_SIZE, "%s/%u", address, subnet->prefix % 100);
}

static bool subnet_has(const struct vm_subnet *subnet, struct in_addr address)
{
    return (ntohl(address.s_addr) & prefix_mask(subnet->prefix)) == first_number(subnet);
}

bool vm_subnets_overlap(const struct vm_subnet *a, const struct vm_subnet *b)
{
    return subnet_has(a, b->address) || subnet_has(b, a->address);
}

struct in_addr vm_subnet_self(const struct vm_subnet *subnet)
{
    return from_number(first_number(subnet) + 1);
}

int vm_subnet_member_parse(const struct vm_subnet *subnet, const char *text, struct in_addr *ret,
                           struct pi_error *err)
{
    char whole[VM_SUBNET_TEXT_SIZE];
    struct in_addr address;
    vm_subnet_format(subnet, whole);
    if (inet_pton(AF_INET, text, &address) != 1)
        return pi_refuse(err, PI_USAGE, "'%s' is not an IPv4 address", text);
    if (!subnet_has(subnet, address))
        return pi_refuse(err, PI_USAGE, "%s is not in the subnet %s", text, whole);
    uint32_t number = ntohl(address.s_addr);
    if (number == first_number(subnet) || number == last_number(subnet))
        return pi_refuse(err, PI_USAGE, "%s is the first or last address of %s, which no member can have",
                         text, whole);
    if (address.s_addr == vm_subnet_self(subnet).s_addr)
        return pi_refuse(err, PI_USAGE, "%s is the network's own address, at which its members ask for names",
                         text);
    *ret = address;
    return 0;
}

static bool is_used_address(struct in_addr address, const struct in_addr *used, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (used[i].s_addr == address.s_addr)
            return true;
    return false;
}

int vm_subnet_pick_member(const struct vm_subnet *subnet, const struct in_addr *used, size_t count,
                          struct in_addr *ret, struct pi_error *err)
{
    char whole[VM_SUBNET_TEXT_SIZE];
    for (uint32_t number = first_number(subnet) + 2; number < last_number(subnet); number++) {
        if (is_used_address(from_number(number), used, count))
            continue;
        *ret = from_number(number);
        return 0;
    }
    vm_subnet_format(subnet, whole);
    return pi_refuse(err, PI_CONFLICT, "all addresses of %s are in use", whole);
}

int vm_subnet_pick(const struct vm_subnet *used, size_t count, struct vm_subnet *ret, struct pi_error *err)
{
    for (uint32_t i = 0; i < 256; i++) {
        const struct vm_subnet subnet = {from_number(0x0a4d0000 | i << 8), 24};
        size_t j = 0;
        while (j < count && !vm_subnets_overlap(&subnet, &used[j]))
            j++;
        if (j < count)
            continue;
        *ret = subnet;
        return 0;
    }
    return pi_refuse(err, PI_CONFLICT, "this host uses all of 10.77.0.0/16: choose a subnet by --subnet");
}

void vm_subnet_mac(struct in_addr address, char ret[VM_MAC_TEXT_SIZE])
{
    uint32_t number = ntohl(address.s_addr);
    snprintf(ret, VM_MAC_TEXT_SIZE, "52:54:%02x:%02x:%02x:%02x", number >> 24, number >> 16 & 0xff,
             number >> 8 & 0xff, number & 0xff);
}

void vm_bridge_mac(const char *uuid, size_t index, char ret[VM_MAC_TEXT_SIZE])
{
    uint32_t number = (uint32_t)strtoul(uuid, NULL, 16); /* up to its first '-': 32 random bits */
    number ^= (uint32_t)index;
    snprintf(ret, VM_MAC_TEXT_SIZE, "52:56:%02x:%02x:%02x:%02x", number >> 24, number >> 16 & 0xff,
             number >> 8 & 0xff, number & 0xff);
}

static int parse_bridge(const char *text, const char *name, struct vm_network_use *ret, struct pi_error *err)
{
    static const char characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    struct vm_network_use use = {.bridge = true};
    size_t length = strspn(name, characters);
    if (name[length] || length == 0 || length >= IFNAMSIZ)
        return pi_refuse(err, PI_USAGE, "--network %.64s: that is no name of a bridge, such as bridge=br0",
                         text);
    snprintf(use.name, sizeof use.name, "%s", name);
    *ret = use;
    return 0;
}

int vm_network_use_parse(const char *text, struct vm_network_use *ret, struct pi_error *err)
{
    static const char key[] = "ip=", bridge[] = "bridge=";
    if (pi_starts_with(text, bridge))
        return parse_bridge(text, text + strlen(bridge), ret, err);
    struct vm_network_use use = {.address = ""};
    size_t length = strcspn(text, ",");
    const char *more = text[length] ? text + length + 1 : NULL;
    struct in_addr address;
    if (length >= sizeof use.name)
        return pi_refuse(err, PI_USAGE, "--network %s: a name has at most %d characters", text, PI_NAME_MAX);
    memcpy(use.name, text, length);
    int r = pi_name_check(use.name, err);
    if (r < 0)
        return pi_context(err, r, "--network %s", text);
    if (more && pi_starts_with(more, key) && inet_pton(AF_INET, more + strlen(key), &address) != 1)
        return pi_refuse(err, PI_USAGE,
                         "--network %s: '%.40s' is not an IPv4 address: write four numbers from 0 to 255, "
                         "such as 10.77.0.5",
                         text, more + strlen(key));
    if (more && !pi_starts_with(more, key))
        return pi_refuse(err, PI_USAGE,
                         "--network %s: after the name only ip=ADDRESS may follow, such as %s,ip=10.77.0.5",
                         text, use.name);
    if (more)
        snprintf(use.address, sizeof use.address, "%.15s", more + strlen(key));
    *ret = use;
    return 0;
}
