/* SPDX-License-Identifier: MIT */
/* The network of an isolated machine: a process of its own (agent/net), QEMU's only child. It ends with its
 * QEMU; where it ends alone, the guest is cut off, and nobody but the agent notices. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/auto.h"
#include "agent/base/proc.h"
#include "agent/instance/instance.h"

/* QEMU's own end, which ends its network as well, may be seen a little later. */
#define ALONE_MS 2000

/* -ESRCH where QEMU has no such child, another negative errno where that cannot be told (a kernel without
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

void instance_network_alone(void *user)
{
    struct instance *instance = user;
    const char *name = instance->record.spec.name;
    instance->network_gone = true;
    journal_note(
        instance,
        "its network ended by itself: nothing reaches it, and it reaches nothing: piagent powerdown %s, "
        "then piagent start %s, gives it another one",
        name, name);
}

static void stop_watching(struct instance *instance)
{
    watch_free(pi_steal(instance->network_watch));
    pi_close_p(&instance->network_pidfd);
    instance->network_pidfd = -1;
}

static void on_ended(void *user)
{
    struct instance *instance = user;
    stop_watching(instance);
    timer_set(instance->network_timer, ALONE_MS);
}

void instance_watch_network(struct instance *instance)
{
    if (!instance->record.spec.isolate || instance->network_pidfd >= 0 || instance->network_gone)
        return;
    instance->network_pidfd = open_network((pid_t)instance->record.pid);
    if (instance->network_pidfd >= 0)
        instance->network_watch =
            watch_new(instance->host->loop, instance->network_pidfd, on_ended, instance);
    else if (instance->network_pidfd == -ESRCH)
        timer_set(instance->network_timer, ALONE_MS);
}

void instance_leave_network(struct instance *instance)
{
    stop_watching(instance);
    instance->network_gone = false;
}
