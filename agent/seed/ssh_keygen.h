/* SPDX-License-Identifier: MIT */
/* Makes SSH keys as OpenSSH keeps them, with libcrypto. (ssh-keygen would be a process for each.) */
#ifndef PIAGENT_SEED_SSH_KEYGEN_H
#define PIAGENT_SEED_SSH_KEYGEN_H

#include "agent/base/buf.h"
#include "agent/base/error.h"

/* Makes an ed25519 pair without a passphrase: NAME and NAME.pub (0600), in dir_fd as in openat(2). Adds the public
 * key to ret, "ssh-ed25519 BASE64 COMMENT" without a newline. The comment is one line. The caller syncs the files.
 * PI_CONFLICT if NAME exists. */
int seed_ssh_keygen(int dir_fd, const char *name, const char *comment, struct pi_buf *ret,
                    struct pi_error *err);

#endif
