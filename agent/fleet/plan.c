/* SPDX-License-Identifier: MIT */
#include "agent/fleet/plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/fleet/fleet_check.h"
#include "agent/fleet/fleet_fault.h"
#include "agent/fleet/span.h"
#include "agent/vm/host_memory.h"

/* What is worked out for a plan. */
struct plan_draft {
    const struct fleet *fleet;
    json_t *const *requests;
    const struct fleet_have *have; /* of each host */
    const struct fleet_ask *ask;
    struct seed_findings *findings;
    bool wanted[FLEET_ENTRIES_MAX]; /* entries all of whose instances are asked for */
    struct fleet_plan *plan;
};

static const struct api_instance *instance_there(const struct fleet_have *have, const char *name)
{
    for (size_t i = 0; i < have->count; i++)
        if (!strcmp(have->instances[i].name, name))
            return &have->instances[i];
    return NULL;
}

/* The entry that the name is of: of the entry itself, or of one of its instances. */
static const struct fleet_entry *entry_of_name(const struct fleet *fleet, const char *name)
{
    const struct fleet_entry *entry = fleet_entry_named(fleet, name);
    char one[PI_NAME_MAX + 1];
    for (size_t i = 0; i < fleet->entry_count && !entry; i++)
        for (unsigned k = 1; k <= fleet_entry_size(&fleet->entries[i]) && !entry; k++) {
            fleet_instance_name(&fleet->entries[i], k, one);
            entry = strcmp(one, name) != 0 ? NULL : &fleet->entries[i];
        }
    return entry;
}

/* An entry with a count has no instance of its own name. */
static bool is_in_file(const struct fleet *fleet, const char *name, size_t host)
{
    const struct fleet_entry *entry = entry_of_name(fleet, name);
    return entry && entry->host == host && !(entry->count && !strcmp(entry->name, name));
}

static void refuse_unknown_name(struct plan_draft *draft, const char *name)
{
    const char *names[FLEET_ENTRIES_MAX + 1] = {NULL};
    char suggestion[PI_SUGGESTION_SIZE];
    for (size_t i = 0; i < draft->fleet->entry_count; i++)
        names[i] = draft->fleet->entries[i].name;
    seed_findings_addf(draft->findings, SEED_ERROR, 0, 0, NULL, pi_suggest(name, names, NULL, suggestion),
                       "it has no entry and no instance '%.64s'", name);
}

static bool names_instance(char *const *names, size_t count, const struct fleet_entry *entry,
                           const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(names[i], name) || !strcmp(names[i], entry->name))
            return true;
    return false;
}

/* The entries that a named one is after are wanted, too, and so on. */
static void want_those_before(struct plan_draft *draft, const struct fleet_entry *entry)
{
    for (size_t i = 0; i < entry->after_count; i++) {
        const struct fleet_entry *before = fleet_entry_named(draft->fleet, entry->after[i].entry);
        bool *wanted = before ? &draft->wanted[before - draft->fleet->entries] : NULL;
        if (!wanted || *wanted)
            continue;
        *wanted = true;
        want_those_before(draft, before);
    }
}

static void choose_entries(struct plan_draft *draft)
{
    const struct fleet_ask *ask = draft->ask;
    for (size_t i = 0; i < draft->fleet->entry_count; i++)
        draft->wanted[i] = !ask->name_count;
    for (size_t i = 0; i < ask->name_count; i++) {
        const struct fleet_entry *entry = entry_of_name(draft->fleet, ask->names[i]);
        if (entry)
            want_those_before(draft, entry);
        else
            refuse_unknown_name(draft, ask->names[i]);
    }
    for (size_t i = 0; i < ask->recreate->count; i++)
        if (!entry_of_name(draft->fleet, ask->recreate->items[i]))
            refuse_unknown_name(draft, ask->recreate->items[i]);
}

static bool belongs_to_fleet(const struct plan_draft *draft, const struct api_instance *instance)
{
    return !strcmp(instance->spec.fleet.name, draft->fleet->name);
}

/* An instance of the fleet that is on another host than the file says: two of a name would be in the fleet. */
static void refuse_moved(struct plan_draft *draft, const struct fleet_entry *entry, const char *name)
{
    for (size_t i = 0; i < draft->fleet->host_count; i++) {
        const struct api_instance *there = instance_there(&draft->have[i], name);
        if (i != entry->host && there && belongs_to_fleet(draft, there) && !draft->ask->prune)
            fleet_entry_fault(draft->findings, entry, NULL, entry->line,
                              "write that host, or remove the instance with --prune",
                              "the instance %s is on %s, the file says %s", name,
                              fleet_host_text(draft->fleet, i), fleet_host_text(draft->fleet, entry->host));
    }
}

static void refuse_foreign(struct plan_draft *draft, const struct fleet_entry *entry,
                           const struct api_instance *now)
{
    const char *other = now->spec.fleet.name;
    char remedy[160] = "rename the entry, or remove that instance";
    if (other[0])
        snprintf(remedy, sizeof remedy,
                 "write 'name: %.63s' if it is this fleet; else rename the entry, or remove that instance",
                 other);
    fleet_entry_fault(draft->findings, entry, NULL, entry->line, remedy,
                      "an instance %s is there already, of %s%s", now->name,
                      other[0] ? "the fleet " : "no fleet", other);
}

static int plan_instance(struct plan_draft *draft, const struct fleet_entry *entry,
                         struct fleet_change *change)
{
    const struct fleet_ask *ask = draft->ask;
    const struct api_instance *now = instance_there(&draft->have[entry->host], change->name);
    refuse_moved(draft, entry, change->name);
    change->now = now;
    if (now && !belongs_to_fleet(draft, now)) {
        refuse_foreign(draft, entry, now);
        return 0;
    }
    change->remove = now && names_instance(ask->recreate->items, ask->recreate->count, entry, change->name);
    change->create = !now || change->remove;
    change->start = change->create || !vm_state_is_live(now->state);
    return change->create ? 0
                          : fleet_differences(entry, draft->requests[entry - draft->fleet->entries], now,
                                              &change->differences, &change->updates);
}

static struct fleet_change *add_change(struct fleet_plan *plan, const struct fleet_entry *entry,
                                       unsigned index)
{
    struct fleet_change *change = &plan->changes[plan->count++];
    change->entry = entry;
    change->index = index;
    change->host = entry ? entry->host : 0;
    if (entry)
        fleet_instance_name(entry, index, change->name);
    return change;
}

static int plan_entries(struct plan_draft *draft)
{
    const struct fleet_ask *ask = draft->ask;
    char name[PI_NAME_MAX + 1];
    int r = 0;
    for (size_t i = 0; i < draft->fleet->entry_count; i++) {
        const struct fleet_entry *entry = &draft->fleet->entries[i];
        for (unsigned k = 1; r == 0 && k <= fleet_entry_size(entry); k++) {
            fleet_instance_name(entry, k, name);
            if (draft->wanted[i] || names_instance(ask->names, ask->name_count, entry, name))
                r = plan_instance(draft, entry, add_change(draft->plan, entry, k));
        }
    }
    return r;
}

static void plan_prune(struct plan_draft *draft, size_t host)
{
    for (size_t i = 0; i < draft->have[host].count; i++) {
        const struct api_instance *now = &draft->have[host].instances[i];
        if (!belongs_to_fleet(draft, now) || is_in_file(draft->fleet, now->name, host))
            continue;
        struct fleet_change *change = add_change(draft->plan, NULL, 0);
        change->host = host;
        snprintf(change->name, sizeof change->name, "%s", now->name);
        change->now = now;
        change->remove = draft->ask->prune;
    }
}

static const struct fleet_lan *network_there(const struct fleet_have *have, const char *name)
{
    for (size_t i = 0; i < have->network_count; i++)
        if (!strcmp(have->networks[i].name, name))
            return &have->networks[i];
    return NULL;
}

static void plan_network_on(struct plan_draft *draft, const struct fleet_network *wanted,
                            const struct vm_subnet *subnet, size_t host)
{
    const struct fleet_have *have = &draft->have[host];
    const struct fleet_lan *now = network_there(have, wanted->name);
    char had[VM_SUBNET_TEXT_SIZE], wants[VM_SUBNET_TEXT_SIZE] = "", where[320] = "";
    if (draft->fleet->host_count > 1)
        snprintf(where, sizeof where, " on %s", fleet_host_text(draft->fleet, host));
    if (subnet->prefix)
        vm_subnet_format(subnet, wants);
    if (!now) {
        struct fleet_new_network *made = &draft->plan->networks[draft->plan->network_count++];
        *made = (struct fleet_new_network){.network = wanted, .host = host};
        memcpy(made->subnet, wants, sizeof made->subnet);
    }
    for (size_t i = 0; subnet->prefix && i < have->network_count; i++) {
        const struct fleet_lan *other = &have->networks[i];
        bool same =
            other->subnet.address.s_addr == subnet->address.s_addr && other->subnet.prefix == subnet->prefix;
        vm_subnet_format(&other->subnet, had);
        if (other == now && !same)
            fleet_network_fault(draft->findings, wanted, "remove that network, or write its subnet",
                                "the network is there%s, and is %s", where, had);
        else if (other != now && vm_subnets_overlap(&other->subnet, subnet))
            fleet_network_fault(draft->findings, wanted, "choose another",
                                "%s overlaps with the network %s%s, which is %s", wants, other->name, where,
                                had);
    }
}

static int plan_networks(struct plan_draft *draft)
{
    const struct fleet *fleet = draft->fleet;
    int r = 0;
    for (size_t i = 0; r == 0 && i < fleet->network_count; i++) {
        const struct fleet_network *wanted = &fleet->networks[i];
        struct vm_subnet subnet = wanted->subnet;
        if (!subnet.prefix && fleet_network_spans(fleet, wanted))
            r = fleet_span_subnet(fleet, wanted, draft->have, draft->plan, draft->findings, &subnet);
        for (size_t host = 0; r == 0 && host < fleet->host_count; host++)
            if (fleet_network_is_on(fleet, wanted, host))
                plan_network_on(draft, wanted, &subnet, host);
        if (r == 0)
            fleet_span_links(fleet, wanted, draft->have, draft->plan);
    }
    return r;
}

/* NULL: it is not in the plan. */
static const struct fleet_change *change_of(const struct fleet_plan *plan, const char *name, size_t host)
{
    for (size_t i = 0; i < plan->count; i++)
        if (plan->changes[i].host == host && !strcmp(plan->changes[i].name, name))
            return &plan->changes[i];
    return NULL;
}

/* Whether the instance is still there when others are created. */
static bool stays(const struct plan_draft *draft, const struct api_instance *now, size_t host)
{
    const struct fleet_change *change = change_of(draft->plan, now->name, host);
    return !change || !change->remove;
}

static void check_port_there(struct plan_draft *draft, const struct fleet_entry *entry,
                             const struct fleet_word *word, const struct api_instance *other)
{
    struct vm_forward mine, theirs;
    for (size_t i = 0; i < other->spec.forwards.count; i++)
        if (vm_forward_parse(word->value, &mine, NULL) == 0 &&
            vm_forward_parse(other->spec.forwards.items[i], &theirs, NULL) == 0 &&
            vm_forwards_clash(&mine, &theirs))
            fleet_word_fault(draft->findings, entry, word, "choose another",
                             "port %u of %s is forwarded to the instance %s", mine.host_port,
                             fleet_host_text(draft->fleet, entry->host), other->name);
}

/* Ports of the file must not be those of instances that are not in it and stay, whether they run or not. */
static void check_ports_there(struct plan_draft *draft, const struct fleet_entry *entry)
{
    const struct fleet_word *word;
    const struct fleet_have *have = &draft->have[entry->host];
    for (size_t i = 0; i < have->count; i++) {
        const struct api_instance *other = &have->instances[i];
        bool ours = belongs_to_fleet(draft, other) && is_in_file(draft->fleet, other->name, entry->host);
        if (ours || !entry->word_count || !stays(draft, other, entry->host))
            continue;
        for (size_t at = 0; (word = fleet_next_word(entry, "forward", &at));)
            check_port_there(draft, entry, word, other);
    }
}

/* A network of one name on two hosts is one only if the fleet needs it on both. */
static bool is_one_network(const struct fleet *fleet, const char *name, size_t a, size_t b)
{
    const struct fleet_network *network = fleet_network_named(fleet, name);
    return a == b || (network && fleet_network_is_on(fleet, network, b));
}

/* An address that the file gives to an instance that is created must not be another one's by now. */
static void check_addresses(struct plan_draft *draft, const struct fleet_change *change, size_t host)
{
    const struct fleet_have *have = &draft->have[host];
    const struct fleet_word *word;
    struct vm_network_use mine, theirs;
    for (size_t at = 0; (word = fleet_next_word(change->entry, "network", &at));)
        for (size_t i = 0; i < have->count; i++) {
            const struct api_instance *other = &have->instances[i];
            bool counts = strcmp(other->name, change->name) != 0 && stays(draft, other, host);
            for (size_t k = 0; counts && k < other->spec.networks.count; k++)
                if (vm_network_use_parse(word->value, &mine, NULL) == 0 && mine.address[0] &&
                    vm_network_use_parse(other->spec.networks.items[k], &theirs, NULL) == 0 &&
                    !strcmp(mine.name, theirs.name) && !strcmp(mine.address, theirs.address) &&
                    is_one_network(draft->fleet, mine.name, change->host, host))
                    fleet_word_fault(draft->findings, change->entry, word, "choose another",
                                     "the instance %s has the address %s", other->name, mine.address);
        }
}

uint64_t fleet_request_memory_mib(const json_t *request)
{
    struct api_create wanted = {.spec.arch = vm_arch_host()};
    (void)api_read(create, request, &wanted, NULL);
    uint64_t mib = vm_host_memory_mib(&wanted.spec);
    api_done(create, &wanted);
    return mib;
}

/* All that is asked for, and what runs beside it, has to fit. If it does not, that is told at the entry that takes most. */
static void check_memory(struct plan_draft *draft, size_t host)
{
    static const char remedy[] =
        "fewer instances, a smaller memory, or --overcommit if they will not use all of it";
    const struct fleet_have *have = &draft->have[host];
    uint64_t fleet_mib = 0, others_mib = 0, host_mib = have->host_mib;
    char needed[32], there[32], others[32], beside[64] = "", message[256];
    const struct fleet_entry *most = NULL;
    size_t at = 0;
    uint64_t most_mib = 0;
    for (size_t i = 0; i < draft->plan->count; i++) {
        const struct fleet_entry *entry = draft->plan->changes[i].entry;
        if (!entry || entry->host != host)
            continue;
        uint64_t mib = fleet_request_memory_mib(draft->requests[entry - draft->fleet->entries]);
        fleet_mib += mib;
        if (mib * fleet_entry_size(entry) > most_mib) {
            most_mib = mib * fleet_entry_size(entry);
            most = entry;
        }
    }
    for (size_t i = 0; i < have->count; i++) {
        const struct api_instance *now = &have->instances[i];
        const struct fleet_change *change = change_of(draft->plan, now->name, host);
        bool counted = change && change->entry; /* it takes its memory, or will */
        if (vm_state_is_live(now->state) && !counted && stays(draft, now, host))
            others_mib += api_instance_memory_mib(now);
    }
    if (!most || !host_mib || fleet_mib + others_mib <= host_mib)
        return;
    if (others_mib)
        snprintf(beside, sizeof beside, ", other instances that run %s",
                 pi_size_format(others_mib << 20, others));
    snprintf(message, sizeof message,
             "all instances together take up to %s%s, with what QEMU itself takes for each, and %s has %s",
             pi_size_format(fleet_mib << 20, needed), beside, fleet_host_text(draft->fleet, host),
             pi_size_format(host_mib << 20, there));
    const struct fleet_word *word = fleet_next_word(most, "memory", &at);
    if (word)
        fleet_word_fault(draft->findings, most, word, remedy, "%s", message);
    else
        fleet_entry_fault(draft->findings, most, NULL, most->line, remedy, "%s", message);
}

int fleet_plan_make(const struct fleet *fleet, json_t *const *requests, const struct fleet_have *have,
                    const struct fleet_ask *ask, struct seed_findings *findings, struct fleet_plan *ret)
{
    struct plan_draft draft = {
        .fleet = fleet, .requests = requests, .have = have, .ask = ask, .findings = findings, .plan = ret};
    size_t most = 0;
    for (size_t i = 0; i < fleet->host_count; i++)
        most += have[i].count;
    for (size_t i = 0; i < fleet->entry_count; i++)
        most += fleet_entry_size(&fleet->entries[i]);
    ret->changes = calloc(most + 1, sizeof *ret->changes);
    ret->networks = calloc(fleet->network_count * fleet->host_count + 1, sizeof *ret->networks);
    ret->links = calloc(fleet->network_count * fleet->host_count * fleet->host_count + 1, sizeof *ret->links);
    if (!ret->changes || !ret->networks || !ret->links)
        return -ENOMEM;
    choose_entries(&draft);
    int r = plan_networks(&draft);
    r = r < 0 ? r : plan_entries(&draft);
    for (size_t host = 0; host < fleet->host_count; host++)
        plan_prune(&draft, host);
    for (size_t i = 0; i < fleet->entry_count; i++)
        check_ports_there(&draft, &fleet->entries[i]);
    for (size_t host = 0; host < fleet->host_count; host++) {
        check_memory(&draft, host);
        for (size_t i = 0; i < ret->count; i++)
            if (ret->changes[i].create)
                check_addresses(&draft, &ret->changes[i], host);
    }
    return r < 0 || findings->errors ? r : fleet_span_addresses(fleet, have, findings, ret);
}

bool fleet_plan_is_empty(const struct fleet_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        if (plan->changes[i].remove || plan->changes[i].create || plan->changes[i].start ||
            plan->changes[i].updates.count)
            return false;
    return !plan->network_count && !plan->link_count;
}

void fleet_plan_done(struct fleet_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        pi_strv_done(&plan->changes[i].differences);
        pi_strv_done(&plan->changes[i].updates);
        pi_strv_done(&plan->changes[i].networks);
    }
    free(plan->networks);
    free(plan->links);
    free(plan->changes);
    *plan = (struct fleet_plan){0};
}
