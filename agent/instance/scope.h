/* SPDX-License-Identifier: MIT */
/*
 * QEMU in a scope, a unit of its own in the user's systemd: with limits, and without an end when the agent's
 * own unit has one. By systemd-run, which asks to be moved there and then becomes QEMU: the same process, its
 * descriptors kept, and the agent waits for none of it.
 */
#ifndef PIAGENT_INSTANCE_SCOPE_H
#define PIAGENT_INSTANCE_SCOPE_H

#include <stdbool.h>
#include <sys/types.h>

#include "agent/vm/spec.h"

/* Puts systemd-run before argv where spec has limits, or where this process is in a service whose end would
 * be QEMU's and a user manager is there. PI_HOST where limits cannot be kept on this host. */
int scope_enter(const struct vm_spec *spec, struct pi_strv *argv, struct pi_error *err);

/* Whether what was started so is not QEMU yet: systemd has not answered. */
bool scope_is_pending(pid_t pid);

#endif
