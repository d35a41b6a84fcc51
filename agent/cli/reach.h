/* SPDX-License-Identifier: MIT */
/*
 * Reaching a machine over SSH: one place that knows how ssh, scp, rsync and a configuration file are told to,
 * and how long to wait. The connection is made by "piagent ssh --stdio NAME" as ssh's ProxyCommand: it waits
 * until the machine is up and finds the port that it has then, so what is printed once stays true.
 */
#ifndef PIAGENT_CLI_REACH_H
#define PIAGENT_CLI_REACH_H

#include "agent/cli/connect.h"

/* Waits until the guest's SSH server can be expected to answer, or does answer in a guest that may have
 * become ready while no agent ran, and tells how the instance is then. PI_CONFLICT where it does not run.
 * Free *ret with api_done(instance, ret). */
int cli_reach(struct cli_agent *agent, const char *name, struct api_instance *ret, struct pi_error *err);

/* Where it is only because the server answers that the machine can be reached, says so on standard error. */
void cli_reach_doubt(const struct api_instance *instance);

/* The options as ssh_config(5) has them, "Key value" each, added to ret. host is an instance's name, or "%n"
 * for whatever host ssh is called with. folder is the instance's. 0 or -ENOMEM. */
int cli_reach_options(const char *folder, const char *host, struct pi_strv *ret);

/* Runs ssh, scp or rsync to its end, with this terminal, and returns its exit code. */
int cli_reach_run(const char *const *argv, struct pi_error *err);

/* Where the machine answers with another host key than the one that was put there, says so on standard error.
 */
void cli_reach_explain(const struct api_instance *instance);

/* Connects standard input and output to the machine's SSH server, which may need a moment more to come up. */
int cli_reach_relay(const struct api_instance *instance, struct pi_error *err);

/* The path of ssh, scp or ssh-keyscan, allocated; PI_HOST names the packages. */
int cli_reach_program(const char *name, char **ret, struct pi_error *err);

#endif
