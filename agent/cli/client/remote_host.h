/* SPDX-License-Identifier: MIT */
/*
 * The host of another agent (--host, PIAGENT_HOST), reached by OpenSSH as the user's ssh_config says. The first
 * command logs in, and its connection stays open until no command has used it for a minute (ControlMaster and
 * ControlPersist, ssh_config(5)). The agent's socket there is forwarded to a socket in this user's runtime folder.
 */
#ifndef PIAGENT_CLI_REMOTE_HOST_H
#define PIAGENT_CLI_REMOTE_HOST_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/paths.h"
#include "agent/cli/terminal/host_hint.h"

/* Zeroed memory is this host. */
struct cli_host {
    char *url; /* "ssh://[USER@]HOST[:PORT]", which ssh takes as it is; NULL = this host */
    char base
        [PATH_MAX]; /* the path in the runtime folder with which the names of the connection's files begin */
};

/* Refuses (PI_USAGE) an image that is a file by a relative path: the path would begin at a folder of this host's, and
 * the agent of another host reads only its own files. */
int cli_host_check_image(const char *image, struct pi_error *err);

/* Takes "--host URL" or "--host=URL" from the front of the words, which end with NULL: cli_host_chosen() finds it, also
 * in child processes. Returns how many words these are, or negative (PI_USAGE). An empty URL is this host. */
int cli_host_take(char **words, struct pi_error *err);

/* Checks the URL. ret is zeroed memory; cli_host_done() frees it. */
int cli_host_init(struct cli_host *ret, const char *url, const struct pi_paths *paths, struct pi_error *err);
void cli_host_done(struct cli_host *host);

/* BASE.sock, which leads to the agent there while the connection is open: in the runtime folder. */
int cli_host_socket(const struct cli_host *host, char ret[PATH_MAX], struct pi_error *err);

/*
 * Logs in, unless a connection is open, starts the agent there, unless it runs, and forwards its socket. ssh asks for
 * passwords and complains on the terminal. unless_stopped: does not start an agent that somebody has stopped. PI_AGENT
 * if ssh cannot log in, the host has no piagent or an older one, or the agent does not start.
 */
int cli_host_forward(const struct cli_host *host, bool unless_stopped, struct pi_error *err);

/* Runs a command there, which is a word of its shell's, with this terminal, and returns its exit code. PI_AGENT if ssh
 * fails. */
int cli_host_run(const struct cli_host *host, const char *command, struct pi_error *err);

/* Adds to ret the standard output of a command there. PI_AGENT with the last line of what it said if it fails. */
int cli_host_read(const struct cli_host *host, const char *command, struct pi_buf *ret, struct pi_error *err);

/* A connection to 127.0.0.1 there: O_CLOEXEC, non-blocking; the caller's. Negative if ssh cannot be started. If nobody
 * listens there it is at its end. */
int cli_host_connect(const struct cli_host *host, uint16_t port);

#endif
