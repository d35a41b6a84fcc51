/* SPDX-License-Identifier: MIT */
#include "agent/fleet/down_order.h"

#include <string.h>

static bool starts_after(const struct vm_fleet *fleet, const struct vm_fleet *other)
{
    size_t length = strlen(other->role);
    for (size_t i = 0; i < fleet->after.count; i++)
        if (!strncmp(fleet->after.items[i], other->role, length) && fleet->after.items[i][length] == '=')
            return true;
    return false;
}

void fleet_down_ranks(const struct api_instance *instances, size_t count, size_t *ranks)
{
    memset(ranks, 0, count * sizeof *ranks);
    /* A rank is at most the number of the others, unless instances of several versions of the file make a cycle. */
    bool more = true;
    for (size_t round = 0; more && round < count; round++) {
        more = false;
        for (size_t i = 0; i < count; i++)
            for (size_t k = 0; k < count; k++)
                if (ranks[i] <= ranks[k] && ranks[k] + 1 < count &&
                    starts_after(&instances[i].spec.fleet, &instances[k].spec.fleet)) {
                    ranks[i] = ranks[k] + 1;
                    more = true;
                }
    }
}
