/* SPDX-License-Identifier: MIT */
/*
 * `piagent switch`: the switch of one network, a process of its own beside those of the members' QEMUs. Its standard input is a
 * listening unix socket, at which the agent tells it what its network is to be (control.h); its current folder is where the
 * members' sockets are. It outlives the agent, as QEMU does, and ends by itself when neither the agent nor a member is there.
 * Killed and started anew in the same folder, it carries on as soon as it is told the plan.
 */
#ifndef PIAGENT_SWITCH_MAIN_H
#define PIAGENT_SWITCH_MAIN_H

/* Returns an exit code (enum pi_kind), after a line on standard error if it failed. */
int switch_main(int argc, char **argv);

#endif
