/* SPDX-License-Identifier: MIT */
#include "agent/instance/ports.h"

#include <string.h>

#include "agent/base/clock.h"
#include "agent/instance/instance.h"
#include "agent/vm/host_port.h"

#define LINGER_MS 10000 /* a network ends sooner after its QEMU */

/* An instance keeps the ports of its forwards even while it does not run. */
static bool is_forwarded(const struct vm_spec *spec, uint16_t port)
{
    struct vm_forward forward;
    for (size_t i = 0; i < spec->forwards.count; i++)
        if (vm_forward_parse(spec->forwards.items[i], &forward, NULL) == 0 && forward.host_port == port)
            return true;
    return false;
}

/* The other instance that has the port, or NULL. live: only among those that run. */
static const struct instance *find_owner(const struct instance *self, uint16_t port, bool live)
{
    const struct instance *other;
    LIST_FOREACH(other, &self->host->instances, entry)
        if (other != self && (!live || vm_state_is_live(other->record.life.state)) &&
            (other->record.spec.ssh_port == port || is_forwarded(&other->record.spec, port)))
            return other;
    return NULL;
}

static bool port_taken(uint16_t port, void *user)
{
    const struct instance *self = user;
    return find_owner(self, port, false) || is_forwarded(&self->record.spec, port) ||
           port == self->host->seed_port;
}

int ports_check_forward(const struct instance *instance, const char *text, struct pi_error *err)
{
    struct vm_forward forward;
    int r = vm_forward_parse(text, &forward, err);
    if (r < 0)
        return r;
    uint16_t port = forward.host_port;
    r = vm_port_check(forward.address, port, err);
    const struct instance *owner = r < 0 ? find_owner(instance, port, true) : NULL;
    if (owner)
        return pi_refuse(err, PI_HOST,
                         "port %s:%u is in use by your instance %s: choose another port, or end that "
                         "instance with: piagent powerdown %s",
                         forward.address, port, owner->record.spec.name, owner->record.spec.name);
    if (r < 0 && port == instance->host->seed_port)
        return pi_refuse(err, PI_HOST,
                         "port %s:%u is in use by piagent's agent, which serves seeds there: choose another "
                         "port",
                         forward.address, port);
    return r;
}

static int check_forwards(const struct instance *instance, struct pi_error *err)
{
    const struct pi_strv *forwards = &instance->record.spec.forwards;
    int r = 0;
    for (size_t i = 0; r == 0 && i < forwards->count; i++)
        r = ports_check_forward(instance, forwards->items[i], err);
    return r;
}

static bool ssh_port_is_free(const struct vm_spec *spec)
{
    return vm_port_check("127.0.0.1", (uint16_t)spec->ssh_port, NULL) == 0;
}

static bool are_all_free(const struct instance *instance)
{
    return check_forwards(instance, NULL) == 0 && ssh_port_is_free(&instance->record.spec);
}

bool ports_were_taken(const struct instance *instance, const char *words)
{
    /* What QEMU's net/slirp.c says, and the network of an isolated instance (net/stack.c). */
    bool is_told =
        strstr(words, "Could not set up host forwarding rule") || strstr(words, "cannot listen on");
    return is_told && !are_all_free(instance);
}

bool ports_may_linger(const struct instance *instance)
{
    uint64_t ended_ms = process_ended_ms(instance);
    return instance->record.spec.isolate && ended_ms && pi_monotonic_ms() - ended_ms < LINGER_MS &&
           !are_all_free(instance);
}

int ports_check(struct instance *instance, struct pi_error *err)
{
    int r = check_forwards(instance, err);
    return r < 0 ? r : ports_choose(instance, err);
}

int ports_choose(struct instance *instance, struct pi_error *err)
{
    struct vm_spec *spec = &instance->record.spec;
    uint16_t port;
    if (spec->ssh_port && ssh_port_is_free(spec) && !port_taken((uint16_t)spec->ssh_port, instance))
        return 0;
    int r = vm_port_pick(port_taken, instance, &port, err);
    if (r < 0)
        return r;
    const struct instance *owner = find_owner(instance, (uint16_t)spec->ssh_port, false);
    if (spec->ssh_port)
        journal_note(instance, "port %u was taken by %s: SSH is on port %u now", (unsigned)spec->ssh_port,
                     owner ? owner->record.spec.name : "another program", port);
    spec->ssh_port = port;
    return 0;
}
