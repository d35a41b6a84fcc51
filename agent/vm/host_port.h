/* SPDX-License-Identifier: MIT */
/* Host ports: the automatic SSH forward, and a check of those that the user named before QEMU meets them. */
#ifndef PIAGENT_VM_HOST_PORT_H
#define PIAGENT_VM_HOST_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/error.h"

/* Whether address:port can be bound now. 0, or PI_HOST saying that it is busy and what to do. */
int vm_port_check(const char *address, uint16_t port, struct pi_error *err);

/* A free port on 127.0.0.1 outside the kernel's ephemeral range (20000-29999), tried from a random start on,
 * for which taken (where it is not NULL) says that no one else is to have it. PI_HOST where there is none. */
int vm_port_pick(bool (*taken)(uint16_t port, void *user), void *user, uint16_t *ret, struct pi_error *err);

#endif
