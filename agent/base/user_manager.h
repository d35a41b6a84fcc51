/* SPDX-License-Identifier: MIT */
/* The user's systemd: whether there is one, and what it may limit. */
#ifndef PIAGENT_BASE_USER_MANAGER_H
#define PIAGENT_BASE_USER_MANAGER_H

#include <stdbool.h>
#include <sys/types.h>

#include "agent/base/error.h"

/* The manager's process: its listening socket below XDG_RUNTIME_DIR tells whose it is. Negative where none
 * listens. */
int pi_user_manager_find(pid_t *ret, struct pi_error *err);

/* Whether the host gives it that controller ("memory", "cpu"), which needs cgroup v2. */
bool pi_user_manager_has(pid_t manager, const char *controller);

#endif
