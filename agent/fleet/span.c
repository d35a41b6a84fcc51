/* SPDX-License-Identifier: MIT */
#include "agent/fleet/span.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/fleet/fleet_fault.h"

int fleet_span_subnet(const struct fleet *fleet, const struct fleet_network *network,
                      const struct fleet_have *have, const struct fleet_plan *plan,
                      struct seed_findings *findings, struct vm_subnet *ret)
{
    size_t count = fleet->network_count + plan->network_count, used = 0;
    struct pi_error err = {0};
    for (size_t host = 0; host < fleet->host_count; host++) {
        count += have[host].network_count;
        for (size_t i = 0; i < have[host].network_count; i++)
            if (!strcmp(have[host].networks[i].name, network->name) &&
                fleet_network_is_on(fleet, network, host)) {
                *ret = have[host].networks[i].subnet;
                return 0;
            }
    }
    pi_auto_free struct vm_subnet *all = calloc(count + 1, sizeof *all);
    if (!all)
        return -ENOMEM;
    for (size_t i = 0; i < fleet->network_count; i++)
        if (fleet->networks[i].subnet.prefix)
            all[used++] = fleet->networks[i].subnet;
    for (size_t host = 0; host < fleet->host_count; host++)
        for (size_t i = 0; i < have[host].network_count; i++)
            all[used++] = have[host].networks[i].subnet;
    for (size_t i = 0; i < plan->network_count; i++)
        used += vm_subnet_parse(plan->networks[i].subnet, &all[used], NULL) == 0;
    if (vm_subnet_pick(all, used, ret, &err) < 0)
        fleet_network_fault(findings, network, "write a subnet", "%s", err.text);
    return 0;
}

struct span_addresses {
    struct in_addr *items;
    size_t count;
};

static void note_address(const char *text, const char *network, struct span_addresses *used)
{
    struct vm_network_use use;
    if (vm_network_use_parse(text, &use, NULL) == 0 && !use.bridge && !strcmp(use.name, network) &&
        inet_pton(AF_INET, use.address, &used->items[used->count]) == 1)
        used->count++;
}

/* What instances of all hosts have, what the file gives, and what this plan has chosen. */
static void note_all(const struct fleet *fleet, const struct fleet_have *have,
                     const struct fleet_network *network, const struct fleet_plan *plan,
                     struct span_addresses *used)
{
    const struct fleet_word *word;
    for (size_t host = 0; host < fleet->host_count; host++)
        for (size_t i = 0; fleet_network_is_on(fleet, network, host) && i < have[host].count; i++)
            for (size_t k = 0; k < have[host].instances[i].spec.networks.count; k++)
                note_address(have[host].instances[i].spec.networks.items[k], network->name, used);
    for (size_t i = 0; i < fleet->entry_count; i++)
        for (size_t at = 0; (word = fleet_next_word(&fleet->entries[i], "network", &at));)
            note_address(word->value, network->name, used);
    for (size_t i = 0; i < plan->count; i++)
        for (size_t k = 0; k < plan->changes[i].networks.count; k++)
            note_address(plan->changes[i].networks.items[k], network->name, used);
}

static size_t most_addresses(const struct fleet *fleet, const struct fleet_have *have,
                             const struct fleet_plan *plan)
{
    size_t most = 0;
    for (size_t host = 0; host < fleet->host_count; host++)
        for (size_t i = 0; i < have[host].count; i++)
            most += have[host].instances[i].spec.networks.count;
    for (size_t i = 0; i < fleet->entry_count; i++)
        most += fleet->entries[i].word_count;
    for (size_t i = 0; i < plan->count; i++)
        most += plan->changes[i].networks.count;
    return most;
}

/* The subnet that the network has, or will have. */
static struct vm_subnet subnet_of(const struct fleet *fleet, const struct fleet_network *network,
                                  const struct fleet_have *have, const struct fleet_plan *plan)
{
    struct vm_subnet subnet = network->subnet;
    for (size_t i = 0; !subnet.prefix && i < plan->network_count; i++)
        if (plan->networks[i].network == network)
            (void)vm_subnet_parse(plan->networks[i].subnet, &subnet, NULL);
    if (!subnet.prefix) /* all hosts have it */
        (void)fleet_span_subnet(fleet, network, have, plan, NULL, &subnet);
    return subnet;
}

/* What an instance that is made anew has in the network; NULL if it has nothing there. */
static const char *kept_choice(const struct api_instance *now, const char *network)
{
    struct vm_network_use use;
    for (size_t i = 0; now && i < now->spec.networks.count; i++)
        if (vm_network_use_parse(now->spec.networks.items[i], &use, NULL) == 0 && use.address[0] &&
            !strcmp(use.name, network))
            return now->spec.networks.items[i];
    return NULL;
}

/* The network as the instance is to be created with: with an address, if it is the plan's to choose. */
static int add_choice(const struct fleet *fleet, const struct fleet_have *have,
                      struct seed_findings *findings, const struct fleet_plan *plan, const char *word,
                      struct fleet_change *change)
{
    struct pi_strv *ret = &change->networks;
    struct vm_network_use use;
    struct pi_error err = {0};
    struct in_addr address;
    char text[INET_ADDRSTRLEN];
    const struct fleet_network *network =
        vm_network_use_parse(word, &use, NULL) == 0 && !use.bridge && !use.address[0]
            ? fleet_network_named(fleet, use.name)
            : NULL;
    if (!network || !fleet_network_spans(fleet, network))
        return pi_strv_add(ret, word);
    const char *kept = kept_choice(change->now, network->name);
    if (kept)
        return pi_strv_add(ret, kept);
    pi_auto_free struct in_addr *items = calloc(most_addresses(fleet, have, plan) + 1, sizeof *items);
    struct span_addresses used = {items, 0};
    if (!items)
        return -ENOMEM;
    note_all(fleet, have, network, plan, &used);
    struct vm_subnet subnet = subnet_of(fleet, network, have, plan);
    if (vm_subnet_pick_member(&subnet, used.items, used.count, &address, &err) < 0) {
        fleet_network_fault(findings, network, "write a subnet", "%s", err.text);
        return 0;
    }
    vm_address_format(address, text);
    return pi_strv_addf(ret, "%s,ip=%s", network->name, text);
}

int fleet_span_addresses(const struct fleet *fleet, const struct fleet_have *have,
                         struct seed_findings *findings, struct fleet_plan *plan)
{
    bool any = false;
    for (size_t i = 0; i < fleet->network_count; i++)
        any = any || fleet_network_spans(fleet, &fleet->networks[i]);
    for (size_t i = 0; any && i < plan->count; i++) {
        struct fleet_change *change = &plan->changes[i];
        const struct fleet_word *word;
        for (size_t at = 0; change->create && (word = fleet_next_word(change->entry, "network", &at));)
            if (add_choice(fleet, have, findings, plan, word->value, change) < 0)
                return -ENOMEM;
    }
    return 0;
}

static const struct fleet_lan *lan_of(const struct fleet_have *have, const struct fleet_network *network)
{
    for (size_t i = 0; i < have->network_count; i++)
        if (!strcmp(have->networks[i].name, network->name))
            return &have->networks[i];
    return NULL;
}

/* NULL: no other host can dial it. */
static const char *url_to(const struct fleet *fleet, size_t host)
{
    return fleet->hosts[host] ? fleet->hosts[host] : fleet->here;
}

static const char *link_text(const json_t *link, const char *key)
{
    const char *text = json_string_value(json_object_get(link, key));
    return text ? text : "";
}

/* A person may have linked them by another name of the host: then the id tells. */
static enum fleet_link_state look_from(const struct fleet_lan *from, const struct fleet_lan *to,
                                       const char *url, const char **ret_reason)
{
    enum fleet_link_state state = FLEET_LINK_NONE;
    const json_t *link;
    size_t i;
    json_array_foreach(from->links, i, link) {
        bool dialed = json_is_true(json_object_get(link, "dialed_here"));
        if (!(dialed && url && !strcmp(link_text(link, "host"), url)) &&
            !(to->id && !strcmp(link_text(link, "id"), to->id)))
            continue;
        if (json_is_true(json_object_get(link, "connected")))
            return FLEET_LINK_CONNECTED;
        if (dialed)
            state = FLEET_LINK_NOTED;
        if (*link_text(link, "reason"))
            *ret_reason = link_text(link, "reason");
    }
    return state;
}

enum fleet_link_state fleet_span_look(const struct fleet *fleet, const struct fleet_network *network,
                                      const struct fleet_have *have, size_t a, size_t b,
                                      const char **ret_reason)
{
    const struct fleet_lan *one = lan_of(&have[a], network), *other = lan_of(&have[b], network);
    *ret_reason = "";
    if (!one || !other)
        return FLEET_LINK_NONE;
    enum fleet_link_state there = look_from(other, one, url_to(fleet, a), ret_reason);
    enum fleet_link_state here = look_from(one, other, url_to(fleet, b), ret_reason);
    return here > there ? here : there;
}

void fleet_span_links(const struct fleet *fleet, const struct fleet_network *network,
                      const struct fleet_have *have, struct fleet_plan *plan)
{
    const char *reason;
    for (size_t a = 0; a < fleet->host_count; a++)
        for (size_t b = a + 1; b < fleet->host_count; b++) {
            if (!fleet_network_is_on(fleet, network, a) || !fleet_network_is_on(fleet, network, b) ||
                fleet_span_look(fleet, network, have, a, b, &reason) != FLEET_LINK_NONE)
                continue;
            bool turned = !url_to(fleet, b);
            plan->links[plan->link_count++] =
                (struct fleet_new_link){network, turned ? b : a, turned ? a : b};
        }
}
