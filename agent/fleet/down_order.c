/* SPDX-License-Identifier: MIT */
#include "agent/fleet/down_order.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"

/* Instances of one role and one list of what they are after: a fleet of a thousand has a few of them. */
struct down_group {
    const struct vm_fleet *fleet; /* of one of them */
    size_t rank;
};

static bool starts_after(const struct vm_fleet *fleet, const struct vm_fleet *other)
{
    size_t length = strlen(other->role);
    for (size_t i = 0; i < fleet->after.count; i++)
        if (!strncmp(fleet->after.items[i], other->role, length) && fleet->after.items[i][length] == '=')
            return true;
    return false;
}

static bool is_one_group(const struct vm_fleet *a, const struct vm_fleet *b)
{
    if (strcmp(a->role, b->role) != 0 || a->after.count != b->after.count)
        return false;
    for (size_t i = 0; i < a->after.count; i++)
        if (strcmp(a->after.items[i], b->after.items[i]) != 0)
            return false;
    return true;
}

/* Puts each instance's group into ranks, and returns how many groups there are. */
static size_t find_groups(const struct api_instance *instances, size_t count, struct down_group *groups,
                          size_t *ranks)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        const struct vm_fleet *fleet = &instances[i].spec.fleet;
        size_t group = 0;
        while (group < found && !is_one_group(fleet, groups[group].fleet))
            group++;
        if (group == found)
            groups[found++] = (struct down_group){.fleet = fleet};
        ranks[i] = group;
    }
    return found;
}

/* A rank is less than the number of groups, unless instances of several versions of the file make a cycle. */
static void rank_groups(struct down_group *groups, size_t count)
{
    bool more = true;
    for (size_t round = 0; more && round < count; round++) {
        more = false;
        for (size_t i = 0; i < count; i++)
            for (size_t k = 0; k < count; k++)
                if (groups[i].rank <= groups[k].rank && groups[k].rank + 1 < count &&
                    starts_after(groups[i].fleet, groups[k].fleet)) {
                    groups[i].rank = groups[k].rank + 1;
                    more = true;
                }
    }
}

int fleet_down_ranks(const struct api_instance *instances, size_t count, size_t *ranks)
{
    pi_auto_free struct down_group *groups = calloc(count + 1, sizeof *groups);
    if (!groups)
        return -ENOMEM;
    rank_groups(groups, find_groups(instances, count, groups, ranks));
    for (size_t i = 0; i < count; i++)
        ranks[i] = groups[ranks[i]].rank;
    return 0;
}
