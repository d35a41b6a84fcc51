/* SPDX-License-Identifier: MIT */
#include "agent/instance/peers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/random.h"
#include "agent/instance/guest_seed.h"
#include "agent/instance/instance.h"
#include "agent/vm/subnet.h"

#define ASKED_BURST      40u
#define ASKED_PER_SECOND 10u

static bool is_of_fleet(const struct instance *instance, const char *fleet)
{
    return fleet[0] && !strcmp(instance->record.spec.fleet.name, fleet);
}

static bool is_peer(const struct instance *instance, const char *fleet)
{
    return is_of_fleet(instance, fleet) && !creation_is_being_undone(instance) &&
           !vm_life_is_gone(&instance->record.life);
}

const char *peers_secret(const struct instance_host *host, const char *fleet)
{
    const char *secret = fleets_file_secret(&host->fleets, fleet);
    const struct instance *instance;
    LIST_FOREACH(instance, &host->instances, entry)
        if (is_of_fleet(instance, fleet) && instance->record.join_secret[0])
            return secret ? secret : instance->record.join_secret;
    return NULL;
}

int peers_enter(const struct instance_host *host, struct vm_record *record, struct pi_error *err)
{
    int r = 0;
    if (!record->spec.fleet.name[0])
        return 0;
    const char *secret = peers_secret(host, record->spec.fleet.name);
    if (secret)
        snprintf(record->join_secret, sizeof record->join_secret, "%s", secret);
    else
        r = pi_random_hex(sizeof record->join_secret - 1, record->join_secret);
    if (r == 0)
        r = pi_random_hex(IMDS_KEY_LENGTH, record->peers_key);
    return r < 0 ? pi_fail(err, -r, "no random bytes") : 0;
}

void peers_changed(const struct instance *instance)
{
    instance->host->fleet_changes += instance->record.spec.fleet.name[0] != '\0';
}

static bool is_fleet_here(const char *fleet, void *user)
{
    return peers_secret(user, fleet) != NULL;
}

void peers_left(struct instance_host *host)
{
    fleets_file_sweep(&host->fleets, is_fleet_here, host);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct seed_peer *)a)->name, ((const struct seed_peer *)b)->name);
}

/* Its first address in a network of the agent's. */
static void find_address(const struct vm_spec *spec, struct seed_peer *ret)
{
    struct vm_network_use use = {0};
    for (size_t i = 0; i < spec->networks.count && !use.address[0]; i++)
        if (vm_network_use_parse(spec->networks.items[i], &use, NULL) < 0)
            use.address[0] = '\0';
    snprintf(ret->address, sizeof ret->address, "%s", use.address);
}

static const char *peer_text(const json_t *peer, const char *key)
{
    const char *text = json_string_value(json_object_get(peer, key));
    return text ? text : "";
}

/* An instance that was moved to this host may still be told of. */
static struct seed_peer *add_elsewhere(const struct instance_host *host, const char *fleet,
                                       const json_t *elsewhere, struct seed_peer *next)
{
    const json_t *peer;
    size_t i;
    json_array_foreach(elsewhere, i, peer) {
        const struct instance *here = host_find(host, peer_text(peer, "name"), false);
        if (here && is_peer(here, fleet))
            continue;
        *next = (struct seed_peer){.name = peer_text(peer, "name"),
                                   .role = peer_text(peer, "role"),
                                   .arch = peer_text(peer, "arch"),
                                   .index = (uint64_t)json_integer_value(json_object_get(peer, "index")),
                                   .elsewhere = true};
        snprintf(next->address, sizeof next->address, "%s", peer_text(peer, "address"));
        next++;
    }
    return next;
}

/* All peers, sorted by name, the caller's to free; the strings are borrowed, until the loop runs. 0 or -ENOMEM. */
static int find_peers(const struct instance *instance, struct seed_peer **ret, size_t *ret_count)
{
    const char *fleet = instance->record.spec.fleet.name;
    const json_t *elsewhere = fleets_file_peers(&instance->host->fleets, fleet);
    const struct instance *other;
    size_t count = json_array_size(elsewhere);
    LIST_FOREACH(other, &instance->host->instances, entry)
        count += is_peer(other, fleet);
    struct seed_peer *peers = calloc(count + 1, sizeof *peers), *next = peers;
    if (!peers)
        return -ENOMEM;
    LIST_FOREACH(other, &instance->host->instances, entry) {
        const struct vm_spec *spec = &other->record.spec;
        if (!is_peer(other, fleet))
            continue;
        *next = (struct seed_peer){.name = spec->name,
                                   .role = spec->fleet.role,
                                   .arch = vm_arch_names[spec->arch],
                                   .index = spec->fleet.index,
                                   .running = instance_runs(other)};
        find_address(spec, next++);
    }
    next = add_elsewhere(instance->host, fleet, elsewhere, next);
    *ret = peers;
    *ret_count = (size_t)(next - peers);
    qsort(peers, *ret_count, sizeof *peers, compare_names);
    return 0;
}

int peers_tell(struct instance *instance, struct seed_fleet *ret)
{
    const struct vm_fleet *fleet = &instance->record.spec.fleet;
    struct seed_peer *peers;
    size_t count;
    int r = find_peers(instance, &peers, &count);
    if (r < 0)
        return r;
    *ret = (struct seed_fleet){.name = fleet->name,
                               .role = fleet->role,
                               .index = fleet->index,
                               .count = fleet->count,
                               .peers = peers,
                               .peer_count = count,
                               .join_secret = peers_secret(instance->host, fleet->name)};
    instance->peers.told = instance->host->fleet_changes;
    return 0;
}

int peers_serve(struct instance *instance)
{
    const char *key = instance->record.peers_key;
    pi_auto_free struct seed_peer *peers = NULL;
    size_t count;
    int r = key[0] ? find_peers(instance, &peers, &count) : 0;
    if (r < 0 || !key[0])
        return r;
    json_auto_t *list = seed_peers_json(peers, count, true);
    pi_auto_free char *text = list ? json_dumps(list, JSON_COMPACT) : NULL;
    if (!text)
        return -ENOMEM;
    const struct imds_bytes bytes = {text, strlen(text)};
    instance->peers.listed = instance->host->fleet_changes;
    return imds_registry_put_peers(instance->host->registry, key, &bytes, instance);
}

/* Without memory, the guest gets what was served before. */
bool peers_wanted(struct instance *instance, enum imds_document document)
{
    struct peers *own = &instance->peers;
    uint64_t changes = instance->host->fleet_changes;
    if (document == IMDS_PEERS &&
        !budget_spend(&own->asked, 1, ASKED_BURST, ASKED_PER_SECOND, pi_monotonic_ms()))
        return false;
    if (document == IMDS_PEERS && own->listed != changes)
        (void)peers_serve(instance);
    else if (document == IMDS_META_DATA && instance->record.peers_key[0] && own->told != changes)
        (void)guest_seed_renew(instance);
    return true;
}
