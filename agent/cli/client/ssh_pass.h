/* SPDX-License-Identifier: MIT */
/*
 * Hands connections to ssh. A command connects to a guest's SSH server itself, and starts ssh only when the
 * server has answered: so ssh never waits, and prints no errors about it. ssh takes a connection only from
 * its ProxyCommand ("piagent ssh --stdio NAME"). That one asks for it at a socket: it sends one message with
 * the name, and the answer is the connection (SCM_RIGHTS, unix(7)). The socket is made in the runtime folder
 * and loses its name there at once; the variable PIAGENT_SSH_PASS tells the ProxyCommand its path in /proc. A
 * ProxyCommand that gets no connection there makes its own.
 */
#ifndef PIAGENT_CLI_SSH_PASS_H
#define PIAGENT_CLI_SSH_PASS_H

#include "agent/base/paths.h"
#include "agent/base/text.h"

struct cli_ssh_pass {
    int listen_fd; /* readable when a ProxyCommand asks; negative = there is nothing to hand over */
    int name_fd;   /* the socket's file, which has no path any more */
    struct cli_ssh_passed {
        char name[PI_NAME_MAX + 1];
        int fd; /* negative when it was handed over */
    } * items;
    size_t count;
};

#define CLI_SSH_PASS_NONE ((struct cli_ssh_pass){.listen_fd = -1, .name_fd = -1})

/* Takes the connection fd to the instance, also if it fails: 0 or -ENOMEM. If the host or the length of the
 * runtime folder's path allows no socket, the connection is closed, and the ProxyCommand makes its own. */
int cli_ssh_pass_add(struct cli_ssh_pass *pass, const struct pi_paths *paths, const char *name, int fd);

/* Answers one ProxyCommand. */
void cli_ssh_pass_serve(struct cli_ssh_pass *pass);

/* In the ProxyCommand: the connection that was made for it, or negative. */
int cli_ssh_pass_take(const char *name);

void cli_ssh_pass_done(struct cli_ssh_pass *pass);
#define pi_auto_ssh_pass __attribute__((cleanup(cli_ssh_pass_done)))

#endif
