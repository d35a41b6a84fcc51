/* SPDX-License-Identifier: MIT */
/* Reaching a machine over SSH: how long to wait for it, and what to say where it cannot be reached. */
#ifndef PIAGENT_CLI_REACH_H
#define PIAGENT_CLI_REACH_H

#include "agent/cli/connect.h"
#include "agent/cli/ssh_share.h"

/* Waits until the guest is up, so that its SSH server can be expected to answer, and tells how the instance
 * is then. PI_CONFLICT where it does not run. Free *ret with api_done(instance, ret). */
int cli_reach(struct cli_agent *agent, const char *name, struct api_instance *ret, struct pi_error *err);

/* Warns on standard error if the guest's cloud-init does not report, with what may be the reason. */
void cli_reach_doubt(const struct api_instance *instance);

/* Runs ssh, scp or rsync to its end, with this terminal, and returns its exit code. name is the instance's.
 * Notes in share whether ssh logged in. */
int cli_reach_run(const char *const *argv, const char *name, struct cli_ssh_share *share,
                  struct pi_error *err);

/* After a failure of ssh, looks for its reason at the machine's port and says it on standard error: another
 * host key than the one that was put there, or no answer. Says nothing if ssh had logged in, and nothing
 * about no answer if ssh had its own connection: then the ProxyCommand has said it. */
void cli_reach_explain(const struct api_instance *instance, const struct cli_ssh_share *share);

/* Connects standard input and output to the machine's SSH server, which may need a moment more to come up. */
int cli_reach_relay(const struct api_instance *instance, struct pi_error *err);

/* The path of ssh, scp or ssh-keyscan, allocated; PI_HOST names the packages. */
int cli_reach_program(const char *name, char **ret, struct pi_error *err);

#endif
