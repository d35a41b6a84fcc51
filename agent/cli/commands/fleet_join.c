/* SPDX-License-Identifier: MIT */
#include "agent/cli/commands/fleet_join.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/cli/client/instance_follow.h"
#include "agent/fleet/span.h"

#define LINK_MS    60000u /* ssh itself gives up after less */
#define REMOVED_MS 20000u
#define LOOK_US    200000u
#define PATIENT_MS 3000u /* after so long up says what it waits for */

static int ask_again(struct cli_agent *agent, const char *path, const json_t *body, json_t **ret,
                     struct pi_error *err)
{
    int r = api_client_call(agent->client, "POST", path, body, CLI_CALL_MS, ret, err);
    return r < 0 && cli_may_ask_again(agent, err)
               ? api_client_call(agent->client, "POST", path, body, CLI_CALL_MS, ret, err)
               : r;
}

int cli_fleet_link(struct cli_fleet_hosts *hosts, const struct fleet *fleet, const struct fleet_plan *plan,
                   struct pi_error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < plan->link_count; i++) {
        const struct fleet_new_link *link = &plan->links[i];
        char path[PI_NAME_MAX + 64];
        json_auto_t *body = json_pack("{s:s}", "host", fleet_host_text(fleet, link->to));
        snprintf(path, sizeof path, "/v1/networks/%s/link", link->network->name);
        r = body ? ask_again(&hosts->items[link->from].task.agent, path, body, NULL, err)
                 : pi_fail(err, ENOMEM, "link");
    }
    return r;
}

/* Two hosts whose network is not linked. */
struct gap {
    const struct fleet_network *network;
    size_t a, b;
    char reason[400];
};

static int get_networks_anew(struct cli_fleet_hosts *hosts, struct pi_error *err)
{
    for (size_t i = 0; i < hosts->count; i++) {
        int r = cli_fleet_host_networks(&hosts->items[i], err);
        if (r < 0 && (!cli_may_ask_again(&hosts->items[i].task.agent, err) ||
                      (r = cli_fleet_host_networks(&hosts->items[i], err)) < 0))
            return r;
    }
    return 0;
}

static int find_gap(struct cli_fleet_hosts *hosts, const struct fleet *fleet, bool *ret_any, struct gap *ret,
                    struct pi_error *err)
{
    const char *reason;
    *ret_any = false;
    int r = get_networks_anew(hosts, err);
    if (r < 0)
        return r;
    pi_auto_free struct fleet_have *have = cli_fleet_hosts_have(hosts, false);
    if (!have)
        return pi_fail(err, ENOMEM, "links");
    for (size_t n = 0; n < fleet->network_count; n++)
        for (size_t a = 0; a < hosts->count; a++)
            for (size_t b = a + 1; b < hosts->count; b++) {
                const struct fleet_network *network = &fleet->networks[n];
                if (!fleet_network_is_on(fleet, network, a) || !fleet_network_is_on(fleet, network, b) ||
                    fleet_span_look(fleet, network, have, a, b, &reason) == FLEET_LINK_CONNECTED)
                    continue;
                *ret_any = true;
                *ret = (struct gap){network, a, b, ""};
                snprintf(ret->reason, sizeof ret->reason, "%s", *reason ? reason : "not connected yet");
                return 0;
            }
    return 0;
}

int cli_fleet_await_links(struct cli_fleet_hosts *hosts, const struct fleet *fleet, bool quiet,
                          struct pi_error *err)
{
    const uint64_t begun = pi_monotonic_ms();
    struct gap gap;
    bool any, told = quiet;
    if (hosts->count < 2)
        return 0;
    for (;;) {
        int r = find_gap(hosts, fleet, &any, &gap, err), number = cli_follow_take_signal(0);
        uint64_t waited = pi_monotonic_ms() - begun;
        if (r < 0 || (!any && !number))
            return r;
        if (number)
            return CLI_EXIT_SIGNAL + number;
        const char *one = fleet_host_text(fleet, gap.a), *other = fleet_host_text(fleet, gap.b);
        if (waited > LINK_MS)
            return pi_refuse(
                err, PI_AGENT,
                "the network %s is not linked between %s and %s: %s: one of them has to reach the other by SSH "
                "with a key that asks for nothing; mend that, then piagent up",
                gap.network->name, one, other, gap.reason);
        if (!told && waited > PATIENT_MS)
            fprintf(stderr, "network %s: waiting for its link between %s and %s: %s\n", gap.network->name,
                    one, other, gap.reason);
        told = told || waited > PATIENT_MS;
        usleep(LOOK_US);
    }
}

static bool is_removed(const struct fleet_plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->count; i++)
        if (plan->changes[i].remove && !strcmp(plan->changes[i].name, name))
            return true;
    return false;
}

/* Tells if a host has one of the plan's instances on its list of members elsewhere. */
static bool is_known_elsewhere(const struct cli_fleet_host *host, const struct fleet_plan *plan)
{
    const json_t *link, *member;
    size_t i, j;
    for (size_t n = 0; n < host->network_count; n++)
        json_array_foreach(host->networks[n].links, i, link)
            json_array_foreach(json_object_get(link, "members"), j, member)
                if (is_removed(plan, json_string_value(json_object_get(member, "name"))))
                    return true;
    return false;
}

int cli_fleet_await_removed(struct cli_fleet_hosts *hosts, const struct fleet_plan *plan,
                            struct pi_error *err)
{
    const uint64_t end = pi_monotonic_ms() + REMOVED_MS;
    bool any = hosts->count > 1;
    while (any && pi_monotonic_ms() < end) {
        int r = get_networks_anew(hosts, err), number = cli_follow_take_signal(0);
        if (r < 0 || number)
            return r < 0 ? r : CLI_EXIT_SIGNAL + number;
        any = false;
        for (size_t i = 0; i < hosts->count; i++)
            any = any || is_known_elsewhere(&hosts->items[i], plan);
        if (any)
            usleep(LOOK_US);
    }
    return 0;
}

static bool is_of(const struct api_instance *instance, const char *fleet)
{
    return !strcmp(instance->spec.fleet.name, fleet);
}

/* In the first network of an agent's that it is in; "" = in none. */
static void find_first_address(const struct api_instance *instance, struct vm_network_use *ret)
{
    *ret = (struct vm_network_use){.address = ""};
    for (size_t i = 0; i < instance->spec.networks.count && !ret->address[0]; i++)
        if (vm_network_use_parse(instance->spec.networks.items[i], ret, NULL) < 0)
            ret->address[0] = '\0';
}

/* The instances of the fleet that all others but this host have. */
static json_t *peers_elsewhere(const struct cli_chosen *all, size_t count, size_t host, const char *fleet)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; i != host && k < all[i].count; k++) {
            const struct api_instance *one = &all[i].items[k];
            struct vm_network_use use;
            if (!is_of(one, fleet))
                continue;
            find_first_address(one, &use);
            json_array_append_new(
                list, json_pack("{s:s, s:s, s:I, s:s, s:s*}", "name", one->name, "role", one->spec.fleet.role,
                                "index", (json_int_t)one->spec.fleet.index, "arch",
                                PI_WORD(one, arch, vm_arch), "address", use.address[0] ? use.address : NULL));
        }
    return list;
}

static const struct api_instance *oldest_of(const struct cli_chosen *chosen, const char *fleet)
{
    const struct api_instance *oldest = NULL;
    for (size_t i = 0; i < chosen->count; i++)
        if (is_of(&chosen->items[i], fleet) && (!oldest || chosen->items[i].created_ms < oldest->created_ms))
            oldest = &chosen->items[i];
    return oldest;
}

/* An older agent knows no such request. It matters if the fleet has instances elsewhere. */
static int tell_host(struct cli_agent *agent, const char *fleet, json_t *peers, json_t **secret,
                     struct pi_error *err)
{
    char path[PI_NAME_MAX + 64];
    bool alone = !json_array_size(peers);
    json_auto_t *reply = NULL, *body = json_pack("{s:o, s:O*}", "peers", peers, "join_secret", *secret);
    snprintf(path, sizeof path, "/v1/fleets/%s/elsewhere", fleet);
    int r = body ? ask_again(agent, path, body, &reply, err) : pi_fail(err, ENOMEM, "fleet");
    if (r < 0 && err->kind == PI_NOT_FOUND)
        return alone ? 0
                     : pi_refuse(
                           err, PI_AGENT,
                           "the piagent of %s is too old for a fleet on several hosts: install piagent %s",
                           agent->host.url ? agent->host.url : "this host", PIAGENT_VERSION);
    if (r == 0 && !*secret)
        *secret = json_incref(json_object_get(reply, "join_secret"));
    return r;
}

/* The oldest instance's host first: the others get its secret. */
static int tell_all(struct cli_fleet_hosts *hosts, const struct cli_chosen *all, const char *fleet,
                    struct pi_error *err)
{
    json_auto_t *secret = NULL;
    const struct api_instance *first = NULL;
    size_t from = 0;
    int r = 0;
    for (size_t i = 0; i < hosts->count; i++) {
        const struct api_instance *oldest = oldest_of(&all[i], fleet);
        if (!oldest || (first && oldest->created_ms >= first->created_ms))
            continue;
        first = oldest;
        from = i;
    }
    for (size_t i = 0; r == 0 && first && i < hosts->count; i++) {
        size_t host = (from + i) % hosts->count;
        if (oldest_of(&all[host], fleet))
            r = tell_host(&hosts->items[host].task.agent, fleet,
                          peers_elsewhere(all, hosts->count, host, fleet), &secret, err);
    }
    return r;
}

int cli_fleet_tell_peers(struct cli_fleet_hosts *hosts, const char *fleet, struct pi_error *err)
{
    const struct cli_selection every = {.all = true};
    pi_auto_free struct cli_chosen *all = calloc(hosts->count + 1, sizeof *all);
    int r = all ? 0 : pi_fail(err, ENOMEM, "fleet");
    for (size_t i = 0; r == 0 && i < hosts->count; i++) {
        struct cli_agent *agent = &hosts->items[i].task.agent;
        r = cli_choose(agent, NULL, &every, CLI_MACHINE, &all[i], err);
        if (r < 0 && cli_may_ask_again(agent, err)) {
            cli_chosen_done(&all[i]);
            r = cli_choose(agent, NULL, &every, CLI_MACHINE, &all[i], err);
        }
    }
    if (r == 0)
        r = tell_all(hosts, all, fleet, err);
    for (size_t i = 0; all && i < hosts->count; i++)
        cli_chosen_done(&all[i]);
    return r;
}
