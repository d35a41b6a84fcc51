/* SPDX-License-Identifier: MIT */
/*
 * What a guest is told about its fleet: in its meta-data, and in the list of peers that it can ask for at any time.
 *
 *  meta-data   "fleet": {name, role, index, count, size, peers_url, peers}, and, up to its first successful boot,
 *              "security-credentials": {join_secret}. cloud-init keeps a key of that name from users of the guest
 *              who are not root (sensitive_metadata_keys in cloudinit/sources/__init__.py, 22.4 and later). In Jinja
 *              it is ds.meta_data.security_credentials.join_secret.
 *  peers       a list of {name, role, index, address, arch}, sorted by name. The list that a guest asks for
 *              has "running" in each that is on this host.
 */
#ifndef PIAGENT_SEED_FLEET_DATA_H
#define PIAGENT_SEED_FLEET_DATA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Strings are borrowed. */
struct seed_peer {
    const char *name, *role, *arch;
    char address[16]; /* the first in a network; "" = it has none */
    uint64_t index;
    bool running;
    bool elsewhere; /* on another host: whether it runs is not known here */
};

struct seed_fleet {
    const char *name, *role;
    uint64_t index, count; /* of the role */
    const struct seed_peer *peers;
    size_t peer_count;
    const char *peers_url;   /* "http://10.0.2.2:PORT/KEY/peers" */
    const char *join_secret; /* NULL = it is not told */
};

/* The list; running: with that member. A new reference, NULL without memory. */
json_t *seed_peers_json(const struct seed_peer *peers, size_t count, bool running);

/* Adds the members to meta-data. 0 or -ENOMEM. */
int seed_fleet_add(const struct seed_fleet *fleet, json_t *meta_data);

#endif
