/* SPDX-License-Identifier: MIT */
/*
 * The connections to an instance that commands share (ssh's ControlMaster). The first command opens a
 * connection and leaves it open for a while (ControlPersist). A connection carries only so many commands at
 * once as sshd allows (MaxSessions, sshd_config(5)), so more commands get a second connection, and so on.
 *
 * Commands agree by locks on bytes of the instance's ssh_key (F_OFD_SETLK, fcntl(2)): one byte for each place
 * in a connection, and one for each connection that is being opened. The kernel drops the locks of a process
 * that ends.
 */
#ifndef PIAGENT_CLI_SSH_SHARE_H
#define PIAGENT_CLI_SSH_SHARE_H

#include <stdbool.h>

#include "agent/api/types.h"
#include "agent/base/paths.h"

struct cli_ssh_share {
    char *path;     /* the connection's socket, for ControlPath; NULL = this command has its own connection */
    bool logged_in; /* ssh has logged in: it listens on the socket, or the socket was seen to appear */
    int watch_fd;   /* readable when files appear in the runtime folder; negative after the login */
    int lock_fd;    /* holds this command's locks */
};

#define CLI_SSH_ALONE ((struct cli_ssh_share){.watch_fd = -1, .lock_fd = -1})

/* Takes a place in a connection to this boot of the instance. While another command opens the connection,
 * waits for it, up to 4 s. *ret is CLI_SSH_ALONE before the call. It stays so if no place is free, the other
 * command did not open the connection in time, the runtime folder's path leaves no room for the socket, or
 * the host refuses the locks or the watch. 0 or -ENOMEM. Free ret with cli_ssh_share_done(). */
int cli_ssh_share_take(const struct pi_paths *paths, const struct api_instance *instance,
                       struct cli_ssh_share *ret);

/* Reads watch_fd, and returns logged_in. After a login the next command may use the connection. */
bool cli_ssh_share_look(struct cli_ssh_share *share);

void cli_ssh_share_done(struct cli_ssh_share *share);
#define pi_auto_ssh_share __attribute__((cleanup(cli_ssh_share_done)))

#endif
