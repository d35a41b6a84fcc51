/* SPDX-License-Identifier: MIT */
/*
 * The addresses of a network that instances share: a private IPv4 subnet (RFC 1918). The first address is the network's own
 * (its resolver), and every member gets another one for the life of its instance. A member's MAC address is made of its
 * address, so that two are equal only if those are. No I/O.
 */
#ifndef PIAGENT_VM_SUBNET_H
#define PIAGENT_VM_SUBNET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/error.h"
#include "agent/base/text.h"

#define VM_NETWORK_NAME_MAX 32 /* it is a domain for names, too */
#define VM_SUBNET_TEXT_SIZE 19 /* "255.255.255.255/32" */
#define VM_MAC_TEXT_SIZE    18 /* "52:54:0a:4d:00:10" */
/* As many as a network's switch carries. */
#define VM_NETWORK_MEMBERS_MAX 1024
#define VM_NETWORK_RUNNING_MAX 256

#define VM_PREFIX_MIN 16
#define VM_PREFIX_MAX 29 /* five members */

struct vm_subnet {
    struct in_addr address; /* its first bits; the others are 0 */
    unsigned prefix;        /* how many these are */
};

/* "10.77.0.0/24". PI_USAGE if it is none, not private, or not of a size that is possible, with what would be. */
int vm_subnet_parse(const char *text, struct vm_subnet *ret, struct pi_error *err);
void vm_subnet_format(const struct vm_subnet *subnet, char ret[VM_SUBNET_TEXT_SIZE]);

void vm_address_format(struct in_addr address, char ret[INET_ADDRSTRLEN]);

bool vm_subnets_overlap(const struct vm_subnet *a, const struct vm_subnet *b);

/* The network's own address. */
struct in_addr vm_subnet_self(const struct vm_subnet *subnet);

/* An address that a user chose for a member, as text. PI_USAGE if it is none, not in the subnet, or not a member's: the
 * first, the last, and the network's own are not. */
int vm_subnet_member_parse(const struct vm_subnet *subnet, const char *text, struct in_addr *ret,
                           struct pi_error *err);

/* The first address for a member that is not used. PI_CONFLICT if there is none. */
int vm_subnet_pick_member(const struct vm_subnet *subnet, const struct in_addr *used, size_t count,
                          struct in_addr *ret, struct pi_error *err);

/* The first of piagent's default subnets (10.77.0.0/24 to 10.77.255.0/24) that overlaps with none of these. PI_CONFLICT if
 * all do. */
int vm_subnet_pick(const struct vm_subnet *used, size_t count, struct vm_subnet *ret, struct pi_error *err);

/* The MAC of an instance's interface on a bridge, of all instances and interfaces most likely the only one: made of the
 * instance's UUID, which is random, and the interface's index. */
void vm_bridge_mac(const char *uuid, size_t index, char ret[VM_MAC_TEXT_SIZE]);

/* A member's MAC: 52:54, which says "locally administered", and the four bytes of its address. */
void vm_subnet_mac(struct in_addr address, char ret[VM_MAC_TEXT_SIZE]);

/* An instance's choice of a network: "lab" or "lab,ip=10.77.0.5", or "bridge=br0" for a bridge of the host. */
struct vm_network_use {
    bool bridge;                   /* name is a bridge's */
    char name[PI_NAME_MAX + 1];    /* of a bridge at most 15 characters (IFNAMSIZ) */
    char address[INET_ADDRSTRLEN]; /* "" = whichever is free; none on a bridge */
};

/* PI_USAGE. The address is checked when the subnet is known. */
int vm_network_use_parse(const char *text, struct vm_network_use *ret, struct pi_error *err);

#endif
