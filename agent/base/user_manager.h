/* SPDX-License-Identifier: MIT */
/* Finds the user's systemd and the resources that it may limit. */
#ifndef PIAGENT_BASE_USER_MANAGER_H
#define PIAGENT_BASE_USER_MANAGER_H

#include <stdbool.h>
#include <sys/types.h>

#include "agent/base/error.h"

/* Finds the manager's process, by the peer of its socket below XDG_RUNTIME_DIR. Negative if none listens. */
int pi_user_manager_find(pid_t *ret, struct pi_error *err);

/* Tells if the manager has that controller ("memory", "cpu"), which needs cgroup v2. */
bool pi_user_manager_has(pid_t manager, const char *controller);

#endif
