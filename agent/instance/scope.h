/* SPDX-License-Identifier: MIT */
/*
 * QEMU in a scope, a unit of its own in the user's systemd. The scope has limits, and does not end together
 * with the agent's own unit. systemd-run asks to be moved there and then becomes QEMU: it is the same
 * process, it keeps its descriptors, and the agent does not wait for it.
 */
#ifndef PIAGENT_INSTANCE_SCOPE_H
#define PIAGENT_INSTANCE_SCOPE_H

#include <stdbool.h>
#include <sys/types.h>

#include "agent/vm/spec.h"

/* Puts systemd-run before argv if spec has limits, or if there is a user manager and this process is in a
 * service whose end would end QEMU. PI_HOST if this host cannot keep limits. */
int scope_enter(const struct vm_spec *spec, struct pi_strv *argv, struct pi_error *err);

/* Whether the process is still systemd-run and not QEMU: systemd has not answered yet. */
bool scope_is_pending(pid_t pid);

#endif
