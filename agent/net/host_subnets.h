/* SPDX-License-Identifier: MIT */
/* The IPv4 subnets that this host uses: its interfaces' and its routes'. */
#ifndef PIAGENT_NET_HOST_SUBNETS_H
#define PIAGENT_NET_HOST_SUBNETS_H

#include "agent/vm/subnet.h"

/* *ret is allocated, with room for so many more. Any prefix but 0, the default route's, is possible. */
int host_subnets_find(size_t more, struct vm_subnet **ret, size_t *ret_count, struct pi_error *err);

#endif
