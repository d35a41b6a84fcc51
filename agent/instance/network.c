/* SPDX-License-Identifier: MIT */
#include "agent/instance/network.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/auto.h"
#include "agent/base/proc.h"
#include "agent/instance/instance.h"
#include "agent/loop/loop.h"

/* The end of QEMU ends its network as well, but may be seen a little later. */
#define ALONE_MS 2000

/* -ESRCH if QEMU has no such child; another negative errno if that cannot be told (a kernel without
 * CONFIG_PROC_CHILDREN). */
static int open_network(pid_t qemu)
{
    char pid[16], file[32];
    pi_auto_buf struct pi_buf children = {0};
    struct pi_identity id;
    snprintf(pid, sizeof pid, "%d", (int)qemu);
    snprintf(file, sizeof file, "task/%d/children", (int)qemu);
    int r = pi_proc_read(pid, file, &children);
    if (r < 0)
        return r == -ENODATA ? -ESRCH : r;
    r = pi_identify((pid_t)strtol(children.data, NULL, 10), &id, NULL);
    return r < 0 ? r : pi_identity_open(&id);
}

static void on_alone(void *user)
{
    struct instance *instance = user;
    const char *name = instance->record.spec.name;
    instance->network.gone = true;
    journal_note(
        instance,
        "the guest's network has died, so it has no connections. For a new one: piagent powerdown %s, then "
        "piagent start %s",
        name, name);
}

static void stop_watching(struct instance *instance)
{
    watch_free(pi_steal(instance->network.watch));
    pi_close_p(&instance->network.pidfd);
    instance->network.pidfd = -1;
}

static void on_network_ended(void *user)
{
    struct instance *instance = user;
    stop_watching(instance);
    timer_set(instance->network.timer, ALONE_MS);
}

void network_watch(struct instance *instance)
{
    if (!instance->record.spec.isolate || instance->network.pidfd >= 0 || instance->network.gone)
        return;
    instance->network.pidfd = open_network((pid_t)instance->record.pid);
    if (instance->network.pidfd >= 0)
        instance->network.watch =
            watch_new(instance->host->loop, instance->network.pidfd, on_network_ended, instance);
    else if (instance->network.pidfd == -ESRCH)
        timer_set(instance->network.timer, ALONE_MS);
}

int network_init(struct instance *instance)
{
    instance->network.pidfd = -1;
    instance->network.timer = timer_new(instance->host->loop, on_alone, instance);
    return instance->network.timer ? 0 : -ENOMEM;
}

void network_reset(struct instance *instance)
{
    timer_clear(instance->network.timer);
    stop_watching(instance);
    instance->network.gone = false;
}

void network_done(struct instance *instance)
{
    timer_free(instance->network.timer);
}

bool network_is_gone(const struct instance *instance)
{
    return instance->network.gone;
}
