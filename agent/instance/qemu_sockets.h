/* SPDX-License-Identifier: MIT */
/* The unix sockets at which QEMU listens, in the runtime folder. piagent binds them and hands them over. */
#ifndef PIAGENT_INSTANCE_QEMU_SOCKETS_H
#define PIAGENT_INSTANCE_QEMU_SOCKETS_H

#include <limits.h>
#include <stdbool.h>

#include "agent/base/error.h"
#include "agent/base/text.h"
#include "agent/vm/spec.h"

struct instance;

enum qemu_socket {
    QEMU_SOCKET_QMP,
    QEMU_SOCKET_CONSOLE,
    QEMU_SOCKET_GUEST_AGENT,
    QEMU_SOCKET_IDENTITY, /* on the hardware of templates: vm/argv.h */
    QEMU_SOCKETS
};

/* The descriptors in QEMU: its listening sockets, the one that keeps the seeds' port, the files of the listening
 * sockets, one for each network of the spec (vm_host.network_fd), and both of the identity's socket. Isolated instances do without the seeds' port,
 * because their guests do not come by it: its descriptor is their network's (NET_FD). */
#define QEMU_SOCKET_FD    3
#define QEMU_SEED_PORT_FD 6
#define QEMU_FILE_FD      7
#define QEMU_NETWORK_FD   10
#define QEMU_IDENTITY_FD  (QEMU_NETWORK_FD + VM_NETWORKS_MAX)
#define QEMU_FD_COUNT     (QEMU_IDENTITY_FD + 2)

#define QEMU_SOCKET_NAME_MAX 95

/* The descriptor at which QEMU listens. */
int qemu_socket_fd(enum qemu_socket which);
/* The socket's file in the runtime folder, of the instance of that name. */
void qemu_socket_file(const char *name, enum qemu_socket which, char ret[QEMU_SOCKET_NAME_MAX + 1]);
/* Whose socket a file is; false if it is none of these. */
bool qemu_socket_parse(const char *file, char name[PI_NAME_MAX + 1], enum qemu_socket *which);

/* PI_HOST if the name is too long for the sockets' paths. */
int qemu_sockets_check(const struct instance *instance, struct pi_error *err);
/* Binds all, and opens their files, by which QEMU can be connected to even when their names are gone. On
 * failure what was opened is in fds all the same. */
int qemu_sockets_bind(const struct instance *instance, int fds[QEMU_FD_COUNT], struct pi_error *err);
void qemu_sockets_close(int fds[QEMU_FD_COUNT]);
void qemu_sockets_clean(const struct instance *instance);

/* Where to connect to a socket: at its name in the runtime folder, or, if that was taken away, at the
 * descriptor by which QEMU has the socket's file open. */
struct qemu_socket_place {
    char folder[PATH_MAX];
    char name[QEMU_SOCKET_NAME_MAX + 1];
};
void qemu_sockets_find(const struct instance *instance, enum qemu_socket which,
                       struct qemu_socket_place *ret);

#endif
