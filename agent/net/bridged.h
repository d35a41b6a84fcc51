/* SPDX-License-Identifier: MIT */
/*
 * `piagent bridged FD=BRIDGE... -- COMMAND...`: becomes COMMAND, which has a tap device as each descriptor FD, plugged into that
 * bridge of the host. qemu-bridge-helper makes the device: it has root's rights, and looks in bridge.conf whether the bridge may
 * be used. QEMU itself could start it (-netdev bridge), but not in its sandbox, which forbids that.
 */
#ifndef PIAGENT_NET_BRIDGED_H
#define PIAGENT_NET_BRIDGED_H

#include "agent/base/error.h"

/* Returns only if this failed: an exit code (enum pi_kind), after a line on standard error. */
int bridged_main(int argc, char **argv);

/* PI_HOST, with what to do, if this user can use no bridge: there is no helper, or it has no rights. */
int bridged_check_helper(struct pi_error *err);

/* The same for one bridge: also if there is no such interface, or bridge.conf does not allow it. What cannot be read is left for the helper to judge. */
int bridged_check(const char *bridge, struct pi_error *err);

#endif
