/* SPDX-License-Identifier: MIT */
#include "agent/fleet/span.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"

static void span_fault(struct seed_findings *findings, const struct fleet_network *network,
                       const struct pi_error *err)
{
    char path[96];
    snprintf(path, sizeof path, "networks.%s", network->name);
    seed_findings_addf(findings, SEED_ERROR, network->line, 0, path, "write a subnet", "%s", err->text);
}

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
        span_fault(findings, network, &err);
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
        span_fault(findings, network, &err);
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
