/* SPDX-License-Identifier: MIT */
/*
 * What the two agents of a network that spans two hosts say to each other first: a JSON object in one line each. Then the
 * stream is the switches'. No I/O.
 */
#ifndef PIAGENT_LAN_LAN_HELLO_H
#define PIAGENT_LAN_LAN_HELLO_H

#include <jansson.h>

#include "agent/base/error.h"
#include "agent/vm/subnet.h"

#define LAN_HELLO_MAX   ((size_t)128 << 10)
#define LAN_ID_DIGITS   16
#define LAN_ID_SIZE     (LAN_ID_DIGITS + 1)
#define LAN_HOST_SIZE   65
#define LAN_SPANNED_MAX 1000 /* members on all hosts: fewer than a switch takes */

struct lan_hello {
    char id[LAN_ID_SIZE];     /* of the network on its host: random */
    char host[LAN_HOST_SIZE]; /* the host's name, for people */
    char subnet[VM_SUBNET_TEXT_SIZE];
    json_t *members; /* an array of {"name", "address"} */
};

/* This host's line, without its end. members may have more keys. Allocated; NULL without memory. */
char *lan_hello_render(const char *id, const struct vm_subnet *subnet, const json_t *members);

/* Reads the other's line, of which nothing is trusted. lan_hello_done() frees it. */
int lan_hello_parse(const char *line, size_t size, struct lan_hello *ret, struct pi_error *err);
void lan_hello_done(struct lan_hello *hello);

/*
 * Whether the two are one network: PI_CONFLICT with what to do. taken are the members that are known here, {"name", "address"}
 * each. *ret is a new array of the other's members, {"name", "address", "mac"} each.
 */
int lan_hello_check(const struct lan_hello *hello, const char *own_id, const struct vm_subnet *own,
                    const json_t *taken, json_t **ret, struct pi_error *err);

#endif
