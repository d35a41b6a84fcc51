/* SPDX-License-Identifier: MIT */
/*
 * The lock of the folder of all instances. The lock in the runtime folder (runtime.h) does not suffice:
 * another agent of this user may have been started with another XDG_RUNTIME_DIR.
 */
#ifndef PIAGENT_DAEMON_INSTANCES_LOCK_H
#define PIAGENT_DAEMON_INSTANCES_LOCK_H

#include "agent/base/error.h"
#include "agent/base/paths.h"

/* Locks the folder, which is open at folder_fd, as long as that is open, and leaves a note of this agent
 * in the folder pi_paths.state, open at state_fd. Waits up to two seconds: an agent that has just died may
 * leave a child that holds the lock until it notices. PI_AGENT if another agent has it, with a command
 * that reaches that one. */
int instances_lock_take(const struct pi_paths *paths, int folder_fd, int state_fd, struct pi_error *err);

#endif
