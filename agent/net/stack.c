/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <time.h>

#include "agent/net/link.h"
#include "agent/net/net.h"
#include "agent/vm/spec.h"

struct net_stack {
    Slirp *slirp;
    struct net_link link;
    struct pollfd polled[NET_DESCRIPTORS_MAX];
    int count;
};

/* Callbacks of libslirp. */

static ssize_t send_packet(const void *bytes, size_t size, void *user)
{
    struct net_stack *stack = user;
    net_link_send(&stack->link, bytes, size);
    return (ssize_t)size;
}

static int64_t clock_get_ns(void *user)
{
    struct timespec now;
    (void)user;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * (int64_t)1000000000 + now.tv_nsec;
}

static void guest_error(const char *message, void *user)
{
    (void)message;
    (void)user;
}

/* net_stack_run() asks for all descriptors on each turn. */
static void ignore_descriptor(int fd, void *user)
{
    (void)fd;
    (void)user;
}

static void ignore_notice(void *user)
{
    (void)user;
}

static const struct {
    int slirp;
    short poll;
} event_bits[] = {{SLIRP_POLL_IN, POLLIN},
                  {SLIRP_POLL_OUT, POLLOUT},
                  {SLIRP_POLL_PRI, POLLPRI},
                  {SLIRP_POLL_ERR, POLLERR},
                  {SLIRP_POLL_HUP, POLLHUP}};

static int add_poll(int fd, int events, void *user)
{
    struct net_stack *stack = user;
    short wanted = 0;
    if (stack->count == NET_DESCRIPTORS_MAX)
        return -1;
    for (size_t i = 0; i < sizeof event_bits / sizeof event_bits[0]; i++)
        if (events & event_bits[i].slirp)
            wanted |= event_bits[i].poll;
    stack->polled[stack->count] = (struct pollfd){.fd = fd, .events = wanted};
    return stack->count++;
}

static int poll_events(int index, void *user)
{
    const struct net_stack *stack = user;
    int events = 0;
    for (size_t i = 0; index >= 0 && i < sizeof event_bits / sizeof event_bits[0]; i++)
        if (stack->polled[index].revents & event_bits[i].poll)
            events |= event_bits[i].slirp;
    return events;
}

/* The addresses are those of QEMU's user network. Restricted: packets leave only through the forwards. */
static Slirp *make_slirp(struct net_stack *stack)
{
    static const SlirpCb callbacks = {.send_packet = send_packet,
                                      .guest_error = guest_error,
                                      .clock_get_ns = clock_get_ns,
                                      .register_poll_fd = ignore_descriptor,
                                      .unregister_poll_fd = ignore_descriptor,
                                      .notify = ignore_notice};
    const SlirpConfig config = {.version = 3, /* the first version that can disable DNS */
                                .restricted = 1,
                                .in_enabled = true,
                                .vnetwork.s_addr = inet_addr("10.0.2.0"),
                                .vnetmask.s_addr = inet_addr("255.255.255.0"),
                                .vhost.s_addr = inet_addr("10.0.2.2"),
                                .vnameserver.s_addr = inet_addr("10.0.2.3"),
                                .vdhcp_start.s_addr = inet_addr("10.0.2.15"),
                                .disable_host_loopback = true,
                                .disable_dns = true};
    return slirp_new(&config, &callbacks, stack);
}

static int add_forward(Slirp *slirp, const char *text, struct pi_error *err)
{
    struct vm_forward forward;
    int r = vm_forward_parse(text, &forward, err);
    if (r < 0)
        return r;
    const struct in_addr host = {inet_addr(forward.address)}, first_guest = {INADDR_ANY};
    if (slirp_add_hostfwd(slirp, 0, host, forward.host_port, first_guest, forward.guest_port) == 0)
        return 0;
    return pi_fail(err, errno, "cannot listen on %s:%u", forward.address, forward.host_port);
}

int net_stack_new(int fd, const char *imds_socket, const char *const *forwards, struct net_stack **ret,
                  struct pi_error *err)
{
    struct in_addr imds = {inet_addr(NET_IMDS_ADDRESS)};
    struct net_stack *stack = calloc(1, sizeof *stack);
    int r = 0;
    if (!stack)
        return pi_fail(err, ENOMEM, "cannot set up the network");
    if (!(stack->slirp = make_slirp(stack)) || slirp_add_unix(stack->slirp, imds_socket, &imds, 80) < 0)
        r = pi_refuse(err, PI_FAILED, "cannot start libslirp");
    stack->link.fd = fd;
    for (; r == 0 && *forwards; forwards++)
        r = add_forward(stack->slirp, *forwards, err);
    if (r < 0)
        net_stack_free(stack);
    else
        *ret = stack;
    return r;
}

void net_stack_free(struct net_stack *stack)
{
    if (stack->slirp)
        slirp_cleanup(stack->slirp);
    free(stack);
}

static void on_frame(const uint8_t *bytes, size_t size, void *user)
{
    const struct net_stack *stack = user;
    slirp_input(stack->slirp, bytes, (int)size);
}

void net_stack_run(struct net_stack *stack)
{
    int r = 0;
    while (r == 0) {
        uint32_t timeout_ms = UINT32_MAX;
        stack->polled[0] = (struct pollfd){
            .fd = stack->link.fd, .events = (short)(POLLIN | (net_link_waits(&stack->link) ? POLLOUT : 0))};
        stack->count = 1;
        slirp_pollfds_fill(stack->slirp, &timeout_ms, add_poll, stack);
        int n = poll(stack->polled, (nfds_t)stack->count, timeout_ms > INT_MAX ? -1 : (int)timeout_ms);
        slirp_pollfds_poll(stack->slirp, n < 0, poll_events, stack);
        if (n > 0 && (stack->polled[0].revents & POLLOUT))
            net_link_flush(&stack->link);
        if (n > 0 && (stack->polled[0].revents & ~POLLOUT))
            r = net_link_receive(&stack->link, on_frame, stack);
    }
}
