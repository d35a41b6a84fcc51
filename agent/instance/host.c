/* SPDX-License-Identifier: MIT */
#include "agent/instance/host.h"

#include <string.h>

#include "agent/instance/instance.h"

void host_wake(const struct instance_host *host, const void *topic)
{
    if (host->listener->wake)
        host->listener->wake(topic, host->user);
}

void host_end(const struct instance_host *host, const void *topic)
{
    if (host->listener->end)
        host->listener->end(topic, host->user);
}

void host_event(const struct instance_host *host, const char *line, size_t size)
{
    if (host->listener->event)
        host->listener->event(line, size, host->user);
}

void host_state(const struct instance_host *host)
{
    if (host->listener->state)
        host->listener->state(host->user);
}

void host_need_runtime(const struct instance_host *host)
{
    if (host->listener->need_runtime)
        host->listener->need_runtime(host->user);
}

struct instance *host_find(const struct instance_host *host, const char *name, bool ghosts)
{
    struct instance *instance, *ghost = NULL;
    LIST_FOREACH(instance, &host->instances, entry) {
        if (strcmp(instance->record.spec.name, name) != 0)
            continue;
        if (!vm_life_is_gone(&instance->record.life))
            return instance;
        if (!ghost)
            ghost = instance;
    }
    return ghosts ? ghost : NULL;
}
