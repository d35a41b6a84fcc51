/* SPDX-License-Identifier: MIT */
#include "agent/seed/fleet_data.h"

#include <errno.h>

static json_t *peer_json(const struct seed_peer *peer, bool running)
{
    json_auto_t *object = json_pack("{s:s, s:s, s:I}", "name", peer->name, "role", peer->role, "index",
                                    (json_int_t)peer->index);
    if (!object ||
        (peer->address[0] && json_object_set_new(object, "address", json_string(peer->address)) < 0) ||
        json_object_set_new(object, "arch", json_string(peer->arch)) < 0 ||
        (running && !peer->elsewhere &&
         json_object_set_new(object, "running", json_boolean(peer->running)) < 0))
        return NULL;
    return json_incref(object);
}

json_t *seed_peers_json(const struct seed_peer *peers, size_t count, bool running)
{
    json_auto_t *list = json_array();
    for (size_t i = 0; list && i < count; i++)
        if (json_array_append_new(list, peer_json(&peers[i], running)) < 0)
            return NULL;
    return json_incref(list);
}

int seed_fleet_add(const struct seed_fleet *fleet, json_t *meta_data)
{
    json_t *object = json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:s, s:o}", "name", fleet->name, "role", fleet->role, "index",
        (json_int_t)fleet->index, "count", (json_int_t)fleet->count, "size", (json_int_t)fleet->peer_count,
        "peers_url", fleet->peers_url, "peers", seed_peers_json(fleet->peers, fleet->peer_count, false));
    if (json_object_set_new(meta_data, "fleet", object) < 0)
        return -ENOMEM;
    if (!fleet->join_secret)
        return 0;
    json_t *secret = json_pack("{s:s}", "join_secret", fleet->join_secret);
    return json_object_set_new(meta_data, "security-credentials", secret) < 0 ? -ENOMEM : 0;
}
