/* SPDX-License-Identifier: MIT */
#include "agent/net/host_subnets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <stdlib.h>

#include "agent/base/auto.h"

#define SUBNETS_MAX 4096

struct subnets {
    struct vm_subnet *items;
    size_t count, more;
};

/* A netmask has its ones first. */
static int add_subnet(struct subnets *list, struct in_addr address, struct in_addr mask)
{
    unsigned prefix = (unsigned)__builtin_popcount(mask.s_addr);
    if (prefix == 0 || list->count == SUBNETS_MAX)
        return 0;
    struct vm_subnet *items = reallocarray(list->items, list->count + 1 + list->more, sizeof *items);
    if (!items)
        return -ENOMEM;
    items[list->count++] = (struct vm_subnet){{address.s_addr & mask.s_addr}, prefix};
    list->items = items;
    return 0;
}

static int add_interfaces(struct subnets *list)
{
    struct ifaddrs *all, *one;
    int r = 0;
    if (getifaddrs(&all) < 0)
        return -errno;
    for (one = all; one && r == 0; one = one->ifa_next)
        if (one->ifa_addr && one->ifa_netmask && one->ifa_addr->sa_family == AF_INET)
            r = add_subnet(list, ((const struct sockaddr_in *)(const void *)one->ifa_addr)->sin_addr,
                           ((const struct sockaddr_in *)(const void *)one->ifa_netmask)->sin_addr);
    freeifaddrs(all);
    return r;
}

/* proc_pid_net(5): the numbers are in the order of the network's bytes. */
static int add_routes(struct subnets *list)
{
    pi_auto_fclose FILE *table = fopen("/proc/self/net/route", "re");
    pi_auto_free char *line = NULL;
    size_t size = 0;
    int r = 0;
    while (table && r == 0 && getline(&line, &size, table) > 0) {
        struct in_addr to, mask;
        if (sscanf(line, "%*s %8x %*x %*x %*d %*d %*d %8x", &to.s_addr, &mask.s_addr) == 2)
            r = add_subnet(list, to, mask);
    }
    return r;
}

int host_subnets_find(size_t more, struct vm_subnet **ret, size_t *ret_count, struct pi_error *err)
{
    struct subnets list = {.items = calloc(more + 1, sizeof *list.items), .more = more};
    int r = list.items ? add_interfaces(&list) : -ENOMEM;
    if (r == 0)
        r = add_routes(&list);
    if (r < 0) {
        free(list.items);
        return pi_fail(err, -r, "cannot tell which subnets this host uses");
    }
    *ret = list.items;
    *ret_count = list.count;
    return 0;
}
