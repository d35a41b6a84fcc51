/* SPDX-License-Identifier: MIT */
/* Ports of this host: picks one for SSH, and checks those that the user named before QEMU tries to bind
 * them. */
#ifndef PIAGENT_VM_HOST_PORT_H
#define PIAGENT_VM_HOST_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/error.h"

/* Checks that address:port can be bound now. 0, or PI_HOST with the reason and what to do. */
int vm_port_check(const char *address, uint16_t port, struct pi_error *err);

/* Picks a free port on 127.0.0.1, below the kernel's ephemeral range (20000-29999), from a random start on.
 * Skips ports for which taken() is true; taken may be NULL. PI_HOST if none is free. */
int vm_port_pick(bool (*taken)(uint16_t port, void *user), void *user, uint16_t *ret, struct pi_error *err);

#endif
