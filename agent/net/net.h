/* SPDX-License-Identifier: MIT */
/*
 * The network of an isolated instance: libslirp in a process beside QEMU. It lets the guest reach its seed
 * and answer to the forwards, and nothing else. QEMU's own user network can be restricted too, but then the
 * guest can open only one connection (guestfwd to a character device), or QEMU must start a program for each
 * connection, which its sandbox forbids.
 */
#ifndef PIAGENT_NET_NET_H
#define PIAGENT_NET_NET_H

#include "agent/base/buf.h"
#include "agent/base/error.h"

/* The address of the IMDS for an isolated guest. It listens on port 80, so that the seed's URL needs no port.
 * libslirp keeps 10.0.2.2 for the host itself. */
#define NET_IMDS_ADDRESS "10.0.2.4"

/* Each connection of the guest or of a forward takes one. */
#define NET_DESCRIPTORS_MAX 1024

/* The descriptor over which COMMAND sends frames: -netdev socket,fd=6. COMMAND also keeps the descriptors
 * that `piagent isolated` was started with. */
#define NET_FD 6

/*
 * `piagent isolated SOCKET [ADDRESS:PORT:GUESTPORT...] -- COMMAND...`: becomes COMMAND, which keeps this
 * process's pid, and leaves a child behind. The child is COMMAND's network until COMMAND ends. SOCKET is the
 * absolute path of the unix socket that the guest may reach. Returns only if this failed: an exit code (enum
 * pi_kind), after a line on standard error.
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
