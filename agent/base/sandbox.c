/* SPDX-License-Identifier: MIT */
#include "agent/base/sandbox.h"

#include <errno.h>
#include <seccomp.h>
#include <sys/socket.h>

#define SOCKET_TYPE_BITS 0xf /* the others are flags: SOCK_TYPE_MASK of Linux */

int pi_sandbox_enter(const int *calls, size_t count, bool unix_datagrams, struct pi_error *err)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int r = filter ? 0 : -ENOMEM;
    if (r == 0 && unix_datagrams)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0),
                             SCMP_A1(SCMP_CMP_MASKED_EQ, SOCKET_TYPE_BITS, SOCK_DGRAM));
    for (size_t i = 0; r == 0 && i < count; i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    return r < 0 ? pi_fail(err, -r, "cannot enter the sandbox") : 0;
}
