/* SPDX-License-Identifier: MIT */
#include "agent/switch/fabric.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "agent/base/auto.h"

#define BATCH       64 /* frames of a member, before it is another's turn */
#define EVENTS_MAX  64
#define TABLE_SIZE  1024 /* a power of two, and sparse with PORTS_MAX */
#define FOR_OUTPUT  0x10000u
#define OUTPUT_NAME "%.63s.qemu"
#define INPUT_NAME  "%.63s.in"

struct slot {
    bool used;
    uint64_t watched; /* the connection that epoll watches, until the member takes frames again; 0 = none */
    char name[64];
    struct switch_port port;
};

struct fabric {
    int epoll_fd;
    struct slot slots[PORTS_MAX];
    uint16_t table[TABLE_SIZE]; /* a slot's index + 1 by its MAC */
    struct resolver resolver;
    bool overran; /* there was no room for frames in this run */
    struct mmsghdr messages[BATCH];
    struct iovec frames[BATCH];
    uint8_t bytes[BATCH][FRAME_MAX + 1]; /* one more, to tell those that are too long */
};

struct fabric *fabric_new(struct pi_error *err)
{
    struct fabric *fabric = calloc(1, sizeof *fabric);
    if (!fabric || (fabric->epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0) {
        pi_fail(err, fabric ? errno : ENOMEM, "cannot set up the switch");
        free(fabric);
        return NULL;
    }
    for (size_t i = 0; i < BATCH; i++) {
        fabric->frames[i].iov_base = fabric->bytes[i];
        fabric->messages[i].msg_hdr = (struct msghdr){.msg_iov = &fabric->frames[i], .msg_iovlen = 1};
    }
    return fabric;
}

int fabric_fd(const struct fabric *fabric)
{
    return fabric->epoll_fd;
}

/* FNV-1a */
static size_t hash_mac(const uint8_t *mac)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < FRAME_MAC_SIZE; i++)
        hash = (hash ^ mac[i]) * 16777619u;
    return (hash ^ hash >> 16) % TABLE_SIZE;
}

static void index_ports(struct fabric *fabric)
{
    memset(fabric->table, 0, sizeof fabric->table);
    for (size_t i = 0; i < PORTS_MAX; i++) {
        if (!fabric->slots[i].used)
            continue;
        size_t at = hash_mac(fabric->slots[i].port.owner.mac);
        while (fabric->table[at])
            at = (at + 1) % TABLE_SIZE;
        fabric->table[at] = (uint16_t)(i + 1);
    }
}

static struct slot *find_mac(struct fabric *fabric, const uint8_t *mac)
{
    for (size_t at = hash_mac(mac); fabric->table[at]; at = (at + 1) % TABLE_SIZE) {
        struct slot *slot = &fabric->slots[fabric->table[at] - 1];
        if (memcmp(slot->port.owner.mac, mac, FRAME_MAC_SIZE) == 0)
            return slot;
    }
    return NULL;
}

static void unplug(struct fabric *fabric, struct slot *slot)
{
    char path[80];
    unsigned index = (unsigned)(slot - fabric->slots);
    switch_port_close(&slot->port); /* epoll forgets what is closed */
    snprintf(path, sizeof path, INPUT_NAME, slot->name);
    unlink(path);
    *slot = (struct slot){.used = false};
    for (size_t i = 0; i < PORTS_MAX; i++)
        if (fabric->slots[i].used)
            switch_port_forget(&fabric->slots[i].port, index);
}

static int plug(struct fabric *fabric, const struct fabric_member *member, struct pi_error *err)
{
    char in[80], out[80];
    size_t i = 0;
    while (i < PORTS_MAX && fabric->slots[i].used)
        i++;
    if (i == PORTS_MAX)
        return pi_refuse(err, PI_CONFLICT, "a network has at most %d members that run", PORTS_MAX);
    struct slot *slot = &fabric->slots[i];
    snprintf(in, sizeof in, INPUT_NAME, member->name);
    snprintf(out, sizeof out, OUTPUT_NAME, member->name);
    int r = switch_port_open(&member->owner, in, out, &slot->port, err);
    if (r < 0)
        return r;
    slot->used = true;
    slot->watched = 0;
    snprintf(slot->name, sizeof slot->name, "%s", member->name);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
    if (epoll_ctl(fabric->epoll_fd, EPOLL_CTL_ADD, slot->port.in_fd, &event) == 0)
        return 0;
    r = pi_fail(err, errno, "cannot set up the switch");
    unplug(fabric, slot);
    return r;
}

static bool is_same(const struct slot *slot, const struct fabric_member *member)
{
    return strcmp(slot->name, member->name) == 0 &&
           memcmp(slot->port.owner.mac, member->owner.mac, FRAME_MAC_SIZE) == 0 &&
           slot->port.owner.address.s_addr == member->owner.address.s_addr;
}

static bool is_planned(const struct fabric_plan *plan, const struct slot *slot)
{
    for (size_t i = 0; i < plan->count; i++)
        if (plan->members[i].plugged && is_same(slot, &plan->members[i]))
            return true;
    return false;
}

static bool is_plugged(const struct fabric *fabric, const struct fabric_member *member)
{
    for (size_t i = 0; i < PORTS_MAX; i++)
        if (fabric->slots[i].used && is_same(&fabric->slots[i], member))
            return true;
    return false;
}

static void name_members(struct resolver *resolver, const struct fabric_plan *plan)
{
    resolver->self = plan->self;
    memcpy(resolver->domain, plan->domain, sizeof resolver->domain);
    resolver->count = plan->count;
    for (size_t i = 0; i < plan->count; i++) {
        memcpy(resolver->names[i].name, plan->members[i].name, sizeof resolver->names[i].name);
        resolver->names[i].address = plan->members[i].owner.address;
    }
}

int fabric_apply(struct fabric *fabric, const struct fabric_plan *plan, struct pi_error *err)
{
    int r = 0;
    for (size_t i = 0; i < PORTS_MAX; i++)
        if (fabric->slots[i].used && !is_planned(plan, &fabric->slots[i]))
            unplug(fabric, &fabric->slots[i]);
    for (size_t i = 0; i < plan->count; i++)
        if (plan->members[i].plugged && !is_plugged(fabric, &plan->members[i])) {
            int failed = plug(fabric, &plan->members[i], r == 0 ? err : NULL);
            r = r == 0 ? failed : r;
        }
    index_ports(fabric);
    name_members(&fabric->resolver, plan);
    return r;
}

/* Has epoll tell when a member takes frames again, exactly while some wait for it. A connection that was closed is not
 * watched any more. */
static void watch_output(struct fabric *fabric, struct slot *slot)
{
    struct epoll_event event = {.events = EPOLLOUT,
                                .data.u32 = (uint32_t)(slot - fabric->slots) | FOR_OUTPUT};
    uint64_t wanted = switch_port_waits(&slot->port) ? slot->port.connection : 0;
    if (wanted == slot->watched)
        return;
    if (wanted)
        epoll_ctl(fabric->epoll_fd, EPOLL_CTL_ADD, slot->port.out_fd, &event);
    else if (slot->port.out_fd >= 0 && slot->watched == slot->port.connection)
        epoll_ctl(fabric->epoll_fd, EPOLL_CTL_DEL, slot->port.out_fd, NULL);
    slot->watched = wanted;
}

static void send_frames(struct fabric *fabric, struct slot *to, const struct slot *from, struct iovec *frames,
                        size_t count, uint64_t now_ms)
{
    if (!to || to == from || count == 0)
        return;
    if (!switch_port_send(&to->port, (unsigned)(from - fabric->slots), frames, count, now_ms))
        fabric->overran = true;
    watch_output(fabric, to);
}

static void broadcast(struct fabric *fabric, struct slot *from, struct iovec *frame, uint64_t now_ms)
{
    if (!switch_port_may_broadcast(&from->port, now_ms)) {
        from->port.counters.refused++;
        return;
    }
    for (size_t i = 0; i < PORTS_MAX; i++)
        if (fabric->slots[i].used)
            send_frames(fabric, &fabric->slots[i], from, frame, 1, now_ms);
}

static bool is_for_resolver(const struct fabric *fabric, const uint8_t *frame)
{
    return frame_is_group(frame) || memcmp(frame, fabric->resolver.self.mac, FRAME_MAC_SIZE) == 0;
}

/* What the resolver answers goes back to who asked. */
static void resolve(struct fabric *fabric, struct slot *from, const struct iovec *frame, uint64_t now_ms)
{
    uint8_t reply[FRAME_MAX];
    size_t size = resolver_answer(&fabric->resolver, frame->iov_base, frame->iov_len, reply);
    struct iovec answer = {reply, size};
    if (size == 0)
        return;
    switch_port_send(&from->port, (unsigned)(from - fabric->slots), &answer, 1, now_ms);
    watch_output(fabric, from);
}

/* The member that a frame is for; NULL if it is not for exactly one, or is not the sender's own. */
static struct slot *find_receiver(struct fabric *fabric, const struct slot *from, const struct iovec *frame)
{
    const uint8_t *bytes = frame->iov_base;
    if (!frame_is_own(bytes, frame->iov_len, &from->port.owner) || is_for_resolver(fabric, bytes))
        return NULL;
    return find_mac(fabric, bytes);
}

static void forward_special(struct fabric *fabric, struct slot *from, struct iovec *frame, uint64_t now_ms)
{
    const uint8_t *bytes = frame->iov_base;
    if (!frame_is_own(bytes, frame->iov_len, &from->port.owner)) {
        from->port.counters.refused++;
        return;
    }
    if (is_for_resolver(fabric, bytes))
        resolve(fabric, from, frame, now_ms);
    if (frame_is_group(bytes))
        broadcast(fabric, from, frame, now_ms);
}

/* Frames to one member in a row go in one call. */
static void forward(struct fabric *fabric, struct slot *from, size_t count, uint64_t now_ms)
{
    struct slot *to = NULL;
    size_t first = 0;
    for (size_t i = 0; i < count; i++) {
        struct slot *next = find_receiver(fabric, from, &fabric->frames[i]);
        if (next != to) {
            send_frames(fabric, to, from, &fabric->frames[first], i - first, now_ms);
            to = next;
            first = i;
        }
        if (!next)
            forward_special(fabric, from, &fabric->frames[i], now_ms);
    }
    send_frames(fabric, to, from, &fabric->frames[first], count - first, now_ms);
}

static void receive(struct fabric *fabric, struct slot *from, uint64_t now_ms)
{
    for (size_t i = 0; i < BATCH; i++)
        fabric->frames[i].iov_len = sizeof fabric->bytes[i];
    int count = recvmmsg(from->port.in_fd, fabric->messages, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count; i++) {
        fabric->frames[i].iov_len = fabric->messages[i].msg_len;
        from->port.counters.received_bytes += fabric->messages[i].msg_len;
    }
    if (count <= 0)
        return;
    from->port.counters.received_frames += (unsigned)count;
    forward(fabric, from, (size_t)count, now_ms);
}

void fabric_run(struct fabric *fabric, uint64_t now_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(fabric->epoll_fd, events, EVENTS_MAX, 0);
    fabric->overran = false;
    for (int i = 0; i < count; i++) {
        struct slot *slot = &fabric->slots[events[i].data.u32 % FOR_OUTPUT];
        if (events[i].data.u32 & FOR_OUTPUT) {
            switch_port_flush(&slot->port);
            watch_output(fabric, slot);
        } else {
            receive(fabric, slot, now_ms);
        }
    }
    /* On a busy host the members that do not keep up wait for a processor: to take more frames from the senders now is to
     * lose more. */
    if (fabric->overran)
        sched_yield();
}

bool fabric_is_used(const struct fabric *fabric)
{
    for (size_t i = 0; i < PORTS_MAX; i++)
        if (fabric->slots[i].used && switch_port_is_taken(&fabric->slots[i].port))
            return true;
    return false;
}

const struct switch_port *fabric_port(const struct fabric *fabric, size_t index, const char **name)
{
    for (size_t i = 0; i < PORTS_MAX; i++)
        if (fabric->slots[i].used && index-- == 0) {
            *name = fabric->slots[i].name;
            return &fabric->slots[i].port;
        }
    return NULL;
}

void fabric_free(struct fabric *fabric)
{
    for (size_t i = 0; i < PORTS_MAX; i++)
        if (fabric->slots[i].used)
            unplug(fabric, &fabric->slots[i]);
    close(fabric->epoll_fd);
    free(fabric);
}
