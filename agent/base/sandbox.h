/* SPDX-License-Identifier: MIT */
/* The sandbox of a process that reads what guests write: seccomp(2), by libseccomp. */
#ifndef PIAGENT_BASE_SANDBOX_H
#define PIAGENT_BASE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/base/error.h"

/* From now on this process may make these system calls (SCMP_SYS of seccomp.h) and no other: they fail with EPERM. With
 * unix_datagrams also socket(), but only for unix datagram sockets. It cannot be undone. */
int pi_sandbox_enter(const int *calls, size_t count, bool unix_datagrams, struct pi_error *err);

#endif
