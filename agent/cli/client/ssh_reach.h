/* SPDX-License-Identifier: MIT */
/* Reaches an instance over SSH: waits for it, and explains why it cannot be reached. */
#ifndef PIAGENT_CLI_SSH_REACH_H
#define PIAGENT_CLI_SSH_REACH_H

#include "agent/cli/client/connect.h"
#include "agent/cli/client/ssh_pass.h"
#include "agent/cli/client/ssh_share.h"

/* Gets the instance if it runs or is being started, else refuses (PI_CONFLICT). Does not wait. Free *ret with
 * api_done(instance, ret). */
int cli_reach_check(struct cli_agent *agent, const char *name, struct api_instance *ret,
                    struct pi_error *err);

/*
 * Both follow the instance, and wait for a boot as long as it takes, even if it begins meanwhile (a reboot).
 * They return 0, negative with err filled (PI_CONFLICT if the instance stopped, PI_GUEST if its boot got
 * stuck), or, after a signal, which they tell, 128 and its number. *instance comes from cli_reach_check(),
 * and is up to date afterwards.
 */

/* Waits until the guest is up: then its SSH server should answer. */
int cli_reach(struct cli_agent *agent, struct api_instance *instance, struct pi_error *err);

/* Call it before cli_reach_connect(). If the instance is on another host, copies its SSH key to this one; instance->folder
 * is then the folder of the copy (remote_key.h). */
int cli_reach_key(struct cli_agent *agent, struct api_instance *instance, struct pi_error *err);

/* Waits until the SSH server has sent its banner: *ret_fd is that connection, with the banner unread.
 * PI_TIMEOUT if a guest that is up has no server for a minute. */
int cli_reach_connect(struct cli_agent *agent, struct api_instance *instance, int *ret_fd,
                      struct pi_error *err);

/* Warns on standard error if the guest's cloud-init does not report, with the likely reason. */
void cli_reach_doubt(const struct api_instance *instance);

/* Runs ssh, scp or rsync to its end, with this terminal, and returns its exit code. Hands the connections in
 * pass over, and notes in share whether ssh logged in. After a while it says that it waits for the login to the instance
 * named name. */
int cli_reach_run(const char *name, const char *const *argv, struct cli_ssh_share *share,
                  struct cli_ssh_pass *pass, struct pi_error *err);

/* After a failure of ssh, looks for the reason at the instance's port and says it on standard error: the
 * server has another host key than piagent put there, or does not answer. Says nothing if ssh had logged in,
 * or if the instance is on another host.
 * Does not mention a missing answer if ssh had its own connection: the ProxyCommand has said it then. */
void cli_reach_explain(const struct cli_agent *agent, const struct api_instance *instance,
                       const struct cli_ssh_share *share);

/* Connects standard input and output to the SSH server at the other end of fd. */
int cli_reach_relay(int fd, struct pi_error *err);

/* The path of ssh, scp or ssh-keyscan, allocated; PI_HOST names the packages. */
int cli_reach_program(const char *name, char **ret, struct pi_error *err);

#endif
