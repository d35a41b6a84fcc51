/* SPDX-License-Identifier: MIT */
/*
 * A program in a scope, a unit of its own in the user's systemd: QEMU, and the switch of a network. The scope
 * has limits, and does not end together with the agent's own unit. systemd-run asks to be moved there and then
 * becomes the program: it is the same process, it keeps its descriptors, and the agent does not wait for it.
 */
#ifndef PIAGENT_BASE_SCOPE_H
#define PIAGENT_BASE_SCOPE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"

struct scope {
    const char *name;           /* for the unit's name, and for messages */
    uint64_t memory_max_mib;    /* 0 = no limit */
    uint64_t cpu_quota_percent; /* of one processor's time; 0 = no limit */
};

/* Puts systemd-run before argv if the scope has limits, or if there is a user manager and this process is in a
 * service whose end would end the program. PI_HOST if this host cannot keep limits. */
int scope_enter(const struct scope *scope, struct pi_strv *argv, struct pi_error *err);

/* True while the process is still systemd-run, because systemd has not answered yet, and not the program. */
bool scope_is_pending(pid_t pid);

#endif
