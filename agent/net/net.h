/* SPDX-License-Identifier: MIT */
/*
 * The network of an isolated machine: libslirp in a process beside QEMU, restricted to what the machine may
 * reach. QEMU's own user network can be restricted too, but has no way for several connections to get out of
 * it (its guestfwd to a character device is one stream for all of them) but to start a program for each,
 * which its sandbox forbids.
 */
#ifndef PIAGENT_NET_NET_H
#define PIAGENT_NET_NET_H

#include "agent/base/buf.h"
#include "agent/base/error.h"

/* The IMDS as an isolated guest sees it: port 80, so that its URL has none. Not 10.0.2.2, which libslirp
 * keeps for the host itself. */
#define NET_IMDS_ADDRESS "10.0.2.4"

/* The descriptor in COMMAND that frames go over: -netdev socket,fd=6. Of the others it has those that it was
 * started with. */
#define NET_FD 6

/*
 * `piagent isolated SOCKET [ADDRESS:PORT:GUESTPORT...] -- COMMAND...`: becomes COMMAND, which keeps this
 * process's pid, and leaves a child behind that is its network until it ends. The guest reaches the unix
 * socket (its path is absolute) and answers to the forwards; nothing else. Returns an exit code (enum
 * pi_kind) where that failed, after a line on standard error.
 */
int net_main(int argc, char **argv);

/* Listens for the forwards. fd stays the caller's. */
struct net_stack;
int net_stack_new(int fd, const char *imds_socket, const char *const *forwards, struct net_stack **ret,
                  struct pi_error *err);
void net_stack_free(struct net_stack *stack);

/* Carries frames until fd, a stream socket to QEMU, ends. */
void net_stack_run(struct net_stack *stack);

#endif
