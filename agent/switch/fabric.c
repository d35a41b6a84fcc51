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

#define BATCH       64 /* frames that one member sends before the next one's turn */
#define EVENTS_MAX  64
#define TABLE_SIZE  1024 /* a power of two, so large that it is mostly empty with PORTS_MAX */
#define FOR_OUTPUT  0x10000u
#define FOR_TRUNK   0x20000u
#define OUTPUT_NAME "%.63s.qemu"
#define INPUT_NAME  "%.63s.in"

/* A member that has a port of its own, or is behind a trunk. */
struct slot {
    bool used;
    struct trunk *trunk; /* NULL: the member has a port of its own */
    uint64_t watched;    /* the connection of the port that epoll watches for output; 0 = none */
    char name[64];
    struct switch_port port;
};

struct fabric {
    int epoll_fd;
    struct slot slots[PORTS_MAX];
    struct trunk trunks[TRUNKS_MAX];
    uint16_t table[TABLE_SIZE]; /* a slot's index + 1 by its MAC */
    struct resolver resolver;
    bool overran; /* a queue was full in this run */
    struct mmsghdr messages[BATCH];
    struct iovec frames[BATCH];
    uint8_t bytes[BATCH][FRAME_MAX + 1]; /* one byte more, so that a frame that is too long is seen */
};

struct fabric *fabric_new(struct pi_error *err)
{
    struct fabric *fabric = calloc(1, sizeof *fabric);
    if (!fabric || (fabric->epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0) {
        pi_fail(err, fabric ? errno : ENOMEM, "cannot set up the switch");
        free(fabric);
        return NULL;
    }
    for (size_t i = 0; i < TRUNKS_MAX; i++)
        trunk_init(&fabric->trunks[i], "");
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
    if (!slot->trunk)
        unlink(path);
    *slot = (struct slot){.used = false};
    for (size_t i = 0; i < PORTS_MAX; i++)
        if (fabric->slots[i].used)
            switch_port_forget(&fabric->slots[i].port, index);
    for (size_t i = 0; i < TRUNKS_MAX; i++)
        trunk_forget(&fabric->trunks[i], index);
}

static struct trunk *find_trunk(struct fabric *fabric, const char *name)
{
    for (size_t i = 0; i < TRUNKS_MAX; i++)
        if (strcmp(fabric->trunks[i].name, name) == 0)
            return &fabric->trunks[i];
    return NULL;
}

static int plug_remote(struct fabric *fabric, const struct fabric_member *member, struct slot *slot,
                       struct pi_error *err)
{
    struct trunk *trunk = find_trunk(fabric, member->trunk);
    if (!trunk && (trunk = find_trunk(fabric, "")))
        trunk_init(trunk, member->trunk);
    if (!trunk)
        return pi_refuse(err, PI_CONFLICT, "a network has at most %d trunks", TRUNKS_MAX);
    switch_port_init(&slot->port, &member->owner);
    slot->trunk = trunk;
    return 0;
}

static int plug_local(struct fabric *fabric, const struct fabric_member *member, struct slot *slot,
                      struct pi_error *err)
{
    char in[80], out[80];
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)(slot - fabric->slots)};
    snprintf(in, sizeof in, INPUT_NAME, member->name);
    snprintf(out, sizeof out, OUTPUT_NAME, member->name);
    int r = switch_port_open(&member->owner, in, out, &slot->port, err);
    if (r == 0 && epoll_ctl(fabric->epoll_fd, EPOLL_CTL_ADD, slot->port.in_fd, &event) < 0) {
        r = pi_fail(err, errno, "cannot set up the switch");
        switch_port_close(&slot->port);
        unlink(in);
    }
    return r;
}

static int plug(struct fabric *fabric, const struct fabric_member *member, struct pi_error *err)
{
    size_t i = 0;
    while (i < PORTS_MAX && fabric->slots[i].used)
        i++;
    if (i == PORTS_MAX)
        return pi_refuse(err, PI_CONFLICT, "a network has at most %d members that run or are behind trunks",
                         PORTS_MAX);
    struct slot *slot = &fabric->slots[i];
    int r = *member->trunk ? plug_remote(fabric, member, slot, err) : plug_local(fabric, member, slot, err);
    slot->used = r == 0;
    if (r == 0)
        snprintf(slot->name, sizeof slot->name, "%s", member->name);
    return r;
}

static bool is_same(const struct slot *slot, const struct fabric_member *member)
{
    return strcmp(slot->name, member->name) == 0 &&
           strcmp(slot->trunk ? slot->trunk->name : "", member->trunk) == 0 &&
           memcmp(slot->port.owner.mac, member->owner.mac, FRAME_MAC_SIZE) == 0 &&
           slot->port.owner.address.s_addr == member->owner.address.s_addr;
}

static bool has_slot(const struct fabric_member *member)
{
    return member->plugged || *member->trunk;
}

static bool is_planned(const struct fabric_plan *plan, const struct slot *slot)
{
    for (size_t i = 0; i < plan->count; i++)
        if (has_slot(&plan->members[i]) && is_same(slot, &plan->members[i]))
            return true;
    return false;
}

static bool is_trunk_planned(const struct fabric_plan *plan, const struct trunk *trunk)
{
    for (size_t i = 0; i < plan->count; i++)
        if (strcmp(plan->members[i].trunk, trunk->name) == 0)
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
    resolver->prefix = plan->prefix;
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
    for (size_t i = 0; i < TRUNKS_MAX; i++)
        if (*fabric->trunks[i].name && !is_trunk_planned(plan, &fabric->trunks[i]))
            trunk_done(&fabric->trunks[i]);
    for (size_t i = 0; i < plan->count; i++)
        if (has_slot(&plan->members[i]) && !is_plugged(fabric, &plan->members[i])) {
            int failed = plug(fabric, &plan->members[i], r == 0 ? err : NULL);
            r = r == 0 ? failed : r;
        }
    index_ports(fabric);
    name_members(&fabric->resolver, plan);
    return r;
}

/* While frames wait for a member, epoll watches its connection until the member takes frames again. epoll forgets a
 * connection that was closed. */
static void watch_output(struct fabric *fabric, struct slot *slot)
{
    struct epoll_event event = {.events = EPOLLOUT,
                                .data.u32 = (uint32_t)(slot - fabric->slots) | FOR_OUTPUT};
    uint64_t wanted = switch_port_waits(&slot->port) ? slot->port.connection : 0;
    if (wanted == slot->watched)
        return;
    if (wanted && epoll_ctl(fabric->epoll_fd, EPOLL_CTL_ADD, slot->port.out_fd, &event) < 0)
        return; /* it is tried again with the next frame */
    if (!wanted && slot->port.out_fd >= 0 && slot->watched == slot->port.connection)
        epoll_ctl(fabric->epoll_fd, EPOLL_CTL_DEL, slot->port.out_fd, NULL);
    slot->watched = wanted;
}

/* The same for a trunk. */
static void watch_trunk(struct fabric *fabric, struct trunk *trunk)
{
    bool wanted = trunk->queue.count > 0;
    struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0),
                                .data.u32 = (uint32_t)(trunk - fabric->trunks) | FOR_TRUNK};
    if (trunk->fd >= 0 && wanted != trunk->watched &&
        epoll_ctl(fabric->epoll_fd, EPOLL_CTL_MOD, trunk->fd, &event) == 0)
        trunk->watched = wanted;
}

static void send_over_trunk(struct fabric *fabric, struct trunk *trunk, const struct slot *from,
                            const struct iovec *frames, size_t count)
{
    for (size_t i = 0; i < count; i++)
        trunk_send(trunk, (unsigned)(from - fabric->slots), &frames[i]);
    trunk_flush(trunk);
    watch_trunk(fabric, trunk);
}

static void send_frames(struct fabric *fabric, struct slot *to, const struct slot *from, struct iovec *frames,
                        size_t count, uint64_t now_ms)
{
    if (!to || to == from || count == 0 || (to->trunk && from->trunk))
        return;
    if (to->trunk)
        send_over_trunk(fabric, to->trunk, from, frames, count);
    else if (!switch_port_send(&to->port, (unsigned)(from - fabric->slots), frames, count, now_ms))
        fabric->overran = true;
    if (!to->trunk)
        watch_output(fabric, to);
}

/* Whether the member may send one more frame to everybody, or to the network's own address. Counts it. */
static bool is_within_rate(struct switch_port *from, const uint8_t *frame, uint64_t now_ms)
{
    return port_budget_take(frame_is_group(frame) ? &from->broadcasts : &from->questions, now_ms);
}

static void broadcast(struct fabric *fabric, struct slot *from, struct iovec *frame, uint64_t now_ms)
{
    if (frame_is_dhcp(frame->iov_base, frame->iov_len))
        return;
    for (size_t i = 0; i < PORTS_MAX; i++)
        if (fabric->slots[i].used && !fabric->slots[i].trunk)
            send_frames(fabric, &fabric->slots[i], from, frame, 1, now_ms);
    for (size_t i = 0; i < TRUNKS_MAX; i++)
        if (*fabric->trunks[i].name && !from->trunk)
            send_over_trunk(fabric, &fabric->trunks[i], from, frame, 1);
}

static bool is_for_resolver(const struct fabric *fabric, const uint8_t *frame)
{
    return frame_is_group(frame) || memcmp(frame, fabric->resolver.self.mac, FRAME_MAC_SIZE) == 0;
}

/* Sends the resolver's answer back to the member that asked. */
static void resolve(struct fabric *fabric, struct slot *from, const struct iovec *frame, uint64_t now_ms)
{
    uint8_t reply[FRAME_MAX];
    size_t size =
        resolver_answer(&fabric->resolver, &from->port.owner, frame->iov_base, frame->iov_len, reply);
    struct iovec answer = {reply, size};
    if (size == 0)
        return;
    switch_port_send(&from->port, (unsigned)(from - fabric->slots), &answer, 1, now_ms);
    watch_output(fabric, from);
}

/* The member that a frame is for. NULL if it is not for exactly one member, or does not come from the sender's address. */
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
    if (frame->iov_len >= FRAME_HEADER_SIZE && frame_type(bytes) == FRAME_IPV6) {
        from->port.counters.ipv6++;
        return;
    }
    if (!frame_is_own(bytes, frame->iov_len, &from->port.owner) ||
        (is_for_resolver(fabric, bytes) && !is_within_rate(&from->port, bytes, now_ms))) {
        from->port.counters.refused++;
        return;
    }
    if (is_for_resolver(fabric, bytes))
        resolve(fabric, from, frame, now_ms);
    if (frame_is_group(bytes))
        broadcast(fabric, from, frame, now_ms);
}

/* Sends frames in a row that are for the same member in one call. */
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

/* The other switch has checked its members' frames. This one checks them again, because the other host may be hostile. */
static void forward_remote(struct fabric *fabric, struct trunk *trunk, struct iovec *frame, uint64_t now_ms)
{
    const uint8_t *bytes = frame->iov_base;
    struct slot *from = find_mac(fabric, bytes + FRAME_MAC_SIZE);
    if (!from || from->trunk != trunk || !frame_is_own(bytes, frame->iov_len, &from->port.owner) ||
        (frame_is_group(bytes) && !is_within_rate(&from->port, bytes, now_ms)))
        trunk->counters.refused++;
    else if (frame_is_group(bytes))
        broadcast(fabric, from, frame, now_ms);
    else
        send_frames(fabric, find_mac(fabric, bytes), from, frame, 1, now_ms);
}

static void run_trunk(struct fabric *fabric, struct trunk *trunk, uint32_t events, uint64_t now_ms)
{
    struct iovec frame;
    size_t used = 0;
    if (trunk->fd >= 0 && (events & EPOLLOUT))
        trunk_flush(trunk);
    if (trunk->fd >= 0 && (events & ~(uint32_t)EPOLLOUT))
        trunk_receive(trunk);
    while (trunk->fd >= 0 && trunk_next(trunk, &used, &frame))
        forward_remote(fabric, trunk, &frame, now_ms);
    watch_trunk(fabric, trunk);
}

int fabric_connect_trunk(struct fabric *fabric, const char *name, int *fd, struct pi_error *err)
{
    struct trunk *trunk = *name ? find_trunk(fabric, name) : NULL;
    if (!trunk)
        return pi_refuse(err, PI_NOT_FOUND, "no member of the plan is behind a trunk %s", name);
    int r = trunk_connect(trunk, fd, err);
    struct epoll_event event = {.events = EPOLLIN,
                                .data.u32 = (uint32_t)(trunk - fabric->trunks) | FOR_TRUNK};
    if (r == 0 && epoll_ctl(fabric->epoll_fd, EPOLL_CTL_ADD, trunk->fd, &event) < 0) {
        r = pi_fail(err, errno, "cannot connect the trunk %s", name);
        trunk_disconnect(trunk);
    }
    return r;
}

void fabric_run(struct fabric *fabric, uint64_t now_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(fabric->epoll_fd, events, EVENTS_MAX, 0);
    fabric->overran = false;
    for (int i = 0; i < count; i++) {
        uint32_t index = events[i].data.u32 % FOR_OUTPUT;
        struct slot *slot = &fabric->slots[index];
        if (events[i].data.u32 & FOR_TRUNK) {
            run_trunk(fabric, &fabric->trunks[index], events[i].events, now_ms);
        } else if (events[i].data.u32 & FOR_OUTPUT) {
            switch_port_flush(&slot->port);
            watch_output(fabric, slot);
        } else {
            receive(fabric, slot, now_ms);
        }
    }
    /* On a busy host a member whose queue is full waits for a processor. The switch gives it one, because frames that it took
     * from the senders now would be lost. */
    if (fabric->overran)
        sched_yield();
}

bool fabric_is_used(const struct fabric *fabric)
{
    for (size_t i = 0; i < PORTS_MAX; i++)
        if (fabric->slots[i].used && !fabric->slots[i].trunk && switch_port_is_taken(&fabric->slots[i].port))
            return true;
    return false;
}

const struct trunk *fabric_trunk(const struct fabric *fabric, size_t index)
{
    for (size_t i = 0; i < TRUNKS_MAX; i++)
        if (*fabric->trunks[i].name && index-- == 0)
            return &fabric->trunks[i];
    return NULL;
}

const struct switch_port *fabric_port(const struct fabric *fabric, size_t index, const char **name)
{
    for (size_t i = 0; i < PORTS_MAX; i++)
        if (fabric->slots[i].used && !fabric->slots[i].trunk && index-- == 0) {
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
    for (size_t i = 0; i < TRUNKS_MAX; i++)
        trunk_done(&fabric->trunks[i]);
    close(fabric->epoll_fd);
    free(fabric);
}
