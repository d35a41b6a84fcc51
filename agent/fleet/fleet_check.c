/* SPDX-License-Identifier: MIT */
#include "agent/fleet/fleet_check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/fleet/fleet_fault.h"

struct named_instance {
    char name[PI_NAME_MAX + 1];
    const struct fleet_entry *entry;
};

static int by_instance_name(const void *a, const void *b)
{
    const struct named_instance *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : (x->entry->line > y->entry->line) - (x->entry->line < y->entry->line);
}

static size_t fleet_size(const struct fleet *fleet)
{
    size_t count = 0;
    for (size_t i = 0; i < fleet->entry_count; i++)
        count += fleet_entry_size(&fleet->entries[i]);
    return count;
}

/* node with a count of 3 has a node-1, and so may be another entry. Keys that are there twice were told before. */
static int check_instance_names(const struct fleet *fleet, struct seed_findings *findings)
{
    size_t count = fleet_size(fleet), at = 0;
    pi_auto_free struct named_instance *all = calloc(count + 1, sizeof *all);
    if (!all)
        return -ENOMEM;
    if (count > FLEET_INSTANCES_MAX)
        seed_findings_addf(findings, SEED_ERROR, fleet->entries[0].line, 0, "instances", NULL,
                           "%zu instances are more than %d", count, FLEET_INSTANCES_MAX);
    for (size_t i = 0; i < fleet->entry_count; i++) {
        const struct fleet_entry *entry = &fleet->entries[i];
        char number[16];
        int length = snprintf(number, sizeof number, "-%u", entry->count);
        if (entry->count && strlen(entry->name) + (size_t)length > PI_NAME_MAX)
            fleet_entry_fault(findings, entry, NULL, entry->line, "shorten it",
                              "with a number behind it, the name is longer than %d characters", PI_NAME_MAX);
        for (unsigned k = 1; k <= fleet_entry_size(entry); k++, at++) {
            all[at].entry = entry;
            fleet_instance_name(entry, k, all[at].name);
        }
    }
    qsort(all, count, sizeof *all, by_instance_name);
    for (size_t i = 1; i < count; i++)
        if (!strcmp(all[i - 1].name, all[i].name) && strcmp(all[i - 1].entry->name, all[i].entry->name) != 0)
            fleet_entry_fault(findings, all[i].entry, NULL, all[i].entry->line,
                              "give one of them another name",
                              "its instance %s has the name of one of %.40s, line %zu", all[i].name,
                              all[i - 1].entry->name, all[i - 1].entry->line);
    return 0;
}

static void check_after_names(const struct fleet *fleet, const struct fleet_entry *entry,
                              struct seed_findings *findings)
{
    const char *names[FLEET_ENTRIES_MAX + 1] = {NULL};
    char suggestion[PI_SUGGESTION_SIZE];
    for (size_t i = 0; i < fleet->entry_count; i++)
        names[i] = fleet->entries[i].name;
    for (size_t i = 0; i < entry->after_count; i++) {
        const struct fleet_after *after = &entry->after[i];
        if (!fleet_entry_named(fleet, after->entry))
            fleet_entry_fault(findings, entry, "after", after->line,
                              pi_suggest(after->entry, names, NULL, suggestion), "there is no entry %s",
                              after->entry);
        else if (!strcmp(after->entry, entry->name))
            fleet_entry_fault(findings, entry, "after", after->line, NULL, "an entry cannot be after itself");
    }
}

/* One more than the highest rank of those that it is after, which must have one (it is not SIZE_MAX); else SIZE_MAX. */
static size_t rank_of(const struct fleet *fleet, const struct fleet_entry *entry)
{
    size_t rank = 0;
    for (size_t i = 0; i < entry->after_count; i++) {
        const struct fleet_entry *before = fleet_entry_named(fleet, entry->after[i].entry);
        if (!before || before == entry)
            continue; /* that was told */
        if (before->rank == SIZE_MAX)
            return SIZE_MAX;
        rank = before->rank + 1 > rank ? before->rank + 1 : rank;
    }
    return rank;
}

/* Entries that have no rank are in a cycle, or are after one: those of the cycle are found by going from one to the next. */
static void tell_cycle(const struct fleet *fleet, struct seed_findings *findings)
{
    const struct fleet_entry *at = NULL, *first = NULL;
    char text[200] = "";
    for (size_t i = 0; i < fleet->entry_count && !at; i++)
        at = fleet->entries[i].rank == SIZE_MAX ? &fleet->entries[i] : NULL;
    for (size_t step = 0; step < 2 * fleet->entry_count; step++) {
        if (step == fleet->entry_count)
            first = at;
        const struct fleet_entry *next = NULL;
        for (size_t i = 0; i < at->after_count && !next; i++) {
            next = fleet_entry_named(fleet, at->after[i].entry);
            next = next && next != at && next->rank == SIZE_MAX ? next : NULL;
        }
        if (step >= fleet->entry_count) {
            size_t used = strlen(text);
            snprintf(text + used, sizeof text - used, "%s is after ", at->name);
        }
        at = next;
        if (step >= fleet->entry_count && at == first)
            break;
    }
    fleet_entry_fault(findings, at, "after", at->line, "none of them could start first", "%s%s", text,
                      at->name);
}

static void check_order(struct fleet *fleet, struct seed_findings *findings)
{
    size_t ranked = 0;
    for (size_t i = 0; i < fleet->entry_count; i++) {
        fleet->entries[i].rank = SIZE_MAX;
        check_after_names(fleet, &fleet->entries[i], findings);
    }
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < fleet->entry_count; i++) {
            struct fleet_entry *entry = &fleet->entries[i];
            if (entry->rank == SIZE_MAX && (entry->rank = rank_of(fleet, entry)) != SIZE_MAX) {
                ranked++;
                more = true;
            }
        }
    }
    if (ranked < fleet->entry_count)
        tell_cycle(fleet, findings);
}

static void check_subnets(struct fleet *fleet, struct seed_findings *findings)
{
    for (size_t i = 0; i < fleet->network_count; i++) {
        struct fleet_network *network = &fleet->networks[i];
        struct pi_error err = {0};
        if (network->text && vm_subnet_parse(network->text, &network->subnet, &err) < 0)
            fleet_network_fault(findings, network, NULL, "%s", err.text);
        for (size_t k = 0; k < i && network->subnet.prefix; k++) {
            const struct fleet_network *other = &fleet->networks[k];
            if (other->subnet.prefix && vm_subnets_overlap(&network->subnet, &other->subnet))
                fleet_network_fault(findings, network, NULL, "%s overlaps with %s of %s, line %zu",
                                    network->text, other->text, other->name, other->line);
        }
    }
}

/* A member of a network with an address that the file gives. */
struct fixed_address {
    const struct fleet_network *network;
    const struct fleet_entry *entry;
    struct in_addr address;
    size_t line;
};

static void check_address(const struct fleet_entry *entry, const struct fleet_word *word,
                          const struct vm_network_use *use, struct fixed_address *all, size_t *count,
                          struct seed_findings *findings)
{
    struct fixed_address *mine = &all[*count];
    struct pi_error err = {0};
    if (entry->count > 1)
        fleet_word_fault(findings, entry, word, "write one entry for each",
                         "%u instances cannot have one address, %s", entry->count, use->address);
    if (vm_subnet_member_parse(&mine->network->subnet, use->address, &mine->address, &err) < 0) {
        fleet_word_fault(findings, entry, word, NULL, "%s", err.text);
        return;
    }
    for (size_t i = 0; i < *count; i++)
        if (all[i].network == mine->network && all[i].address.s_addr == mine->address.s_addr)
            fleet_word_fault(findings, entry, word, NULL, "%s is the address of %.40s, line %zu",
                             use->address, all[i].entry->name, all[i].line);
    mine->entry = entry;
    mine->line = word->line;
    ++*count;
}

static size_t count_words(const struct fleet *fleet, const char *option)
{
    size_t count = 0;
    for (size_t i = 0; i < fleet->entry_count; i++)
        for (size_t at = 0; fleet_next_word(&fleet->entries[i], option, &at);)
            count++;
    return count;
}

static void check_room(const struct fleet_network *network, uint64_t members, struct seed_findings *findings)
{
    /* The first address, the last and the network's own are no member's. */
    uint64_t room = network->subnet.prefix ? (1ull << (32 - network->subnet.prefix)) - 3 : members;
    if (members > room)
        fleet_network_fault(findings, network, "choose a larger one",
                            "%s has addresses for %" PRIu64 " instances, and %" PRIu64 " are in it",
                            network->text, room, members);
}

static int check_networks(struct fleet *fleet, struct seed_findings *findings)
{
    const char *names[FLEET_NETWORKS_MAX + 1] = {NULL};
    uint64_t members[FLEET_NETWORKS_MAX] = {0};
    size_t count = 0;
    pi_auto_free struct fixed_address *all = calloc(count_words(fleet, "network") + 1, sizeof *all);
    if (!all)
        return -ENOMEM;
    check_subnets(fleet, findings);
    for (size_t i = 0; i < fleet->network_count; i++)
        names[i] = fleet->networks[i].name;
    for (size_t i = 0; i < fleet->entry_count; i++) {
        const struct fleet_entry *entry = &fleet->entries[i];
        const struct fleet_word *word;
        for (size_t at = 0; (word = fleet_next_word(entry, "network", &at));) {
            struct vm_network_use use;
            char suggestion[PI_SUGGESTION_SIZE];
            if (pi_starts_with(word->value, "bridge=") || vm_network_use_parse(word->value, &use, NULL) < 0)
                continue;
            const struct fleet_network *network = fleet_network_named(fleet, use.name);
            if (!network) {
                fleet_word_fault(findings, entry, word,
                                 pi_suggest(use.name, names, "name it under networks", suggestion),
                                 "there is no network %s in the file", use.name);
                continue;
            }
            members[network - fleet->networks] += fleet_entry_size(entry);
            all[count].network = network;
            if (use.address[0] && network->subnet.prefix)
                check_address(entry, word, &use, all, &count, findings);
        }
    }
    for (size_t i = 0; i < fleet->network_count; i++)
        check_room(&fleet->networks[i], members[i], findings);
    return 0;
}

struct fixed_port {
    const struct fleet_entry *entry;
    const struct fleet_word *word;
    struct vm_forward forward;
};

/* Two forwards of one entry are checked as those of one instance. */
static void check_port(const struct fleet *fleet, const struct fixed_port *mine, const struct fixed_port *all,
                       size_t count, struct seed_findings *findings)
{
    if (mine->entry->count > 1)
        fleet_word_fault(findings, mine->entry, mine->word, "write one entry for each",
                         "%u instances cannot share port %u of %s", mine->entry->count,
                         mine->forward.host_port, fleet_host_text(fleet, mine->entry->host));
    for (size_t i = 0; i < count; i++)
        if (all[i].entry != mine->entry && all[i].entry->host == mine->entry->host &&
            vm_forwards_clash(&all[i].forward, &mine->forward))
            fleet_word_fault(findings, mine->entry, mine->word, "choose another",
                             "port %u of %s is forwarded to %.40s already, line %zu", mine->forward.host_port,
                             fleet_host_text(fleet, mine->entry->host), all[i].entry->name,
                             all[i].word->line);
}

static int check_ports(const struct fleet *fleet, struct seed_findings *findings)
{
    size_t count = 0;
    pi_auto_free struct fixed_port *all = calloc(count_words(fleet, "forward") + 1, sizeof *all);
    if (!all)
        return -ENOMEM;
    for (size_t i = 0; i < fleet->entry_count; i++) {
        const struct fleet_word *word;
        for (size_t at = 0; (word = fleet_next_word(&fleet->entries[i], "forward", &at));) {
            struct fixed_port *mine = &all[count];
            if (vm_forward_parse(word->value, &mine->forward, NULL) < 0)
                continue;
            mine->entry = &fleet->entries[i];
            mine->word = word;
            check_port(fleet, mine, all, count++, findings);
        }
    }
    return 0;
}

bool fleet_entry_has_address(const struct fleet_entry *entry)
{
    const struct fleet_word *word;
    struct vm_network_use use;
    for (size_t at = 0; (word = fleet_next_word(entry, "network", &at));)
        if (vm_network_use_parse(word->value, &use, NULL) == 0 && use.address[0])
            return true;
    return false;
}

int fleet_check(struct fleet *fleet, struct seed_findings *findings)
{
    int r = check_instance_names(fleet, findings);
    check_order(fleet, findings);
    if (r == 0)
        r = check_networks(fleet, findings);
    return r < 0 ? r : check_ports(fleet, findings);
}
