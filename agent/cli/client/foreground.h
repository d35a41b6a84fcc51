/* SPDX-License-Identifier: MIT */
/* Keeps an instance that was just started in the foreground of this command: a terminal shows its console,
 * anything else its progress. */
#ifndef PIAGENT_CLI_FOREGROUND_H
#define PIAGENT_CLI_FOREGROUND_H

#include "agent/cli/client/instance_follow.h"

/* For the --help of commands that call it. */
#define CLI_FOREGROUND_HELP                                                                               \
    "In a terminal the guest's serial console is attached; Ctrl-] leaves it, and the instance runs on.\n" \
    "Logging in there needs a password, and there is none unless you gave one. piagent ssh needs none.\n" \
    "Elsewhere the command shows progress until the instance has stopped; an interrupt (or SIGTERM)\n"    \
    "powers it down in order, a second one kills it. The exit code is 8 if cloud-init failed or, in\n"    \
    "a first boot, did not report, or the guest's kernel panicked."

/* Returns when the instance has stopped, or the user leaves its console. instance is the agent's answer to the
 * request that started it. fresh: this command made it, and removes it if it is interrupted before the guest
 * runs. The exit code, or negative with err filled. */
int cli_foreground(struct cli_agent *agent, const struct api_instance *instance, bool fresh,
                   struct pi_error *err);

/* Refuses (PI_USAGE) options that only make sense with -d, if it is missing. */
int cli_refuse_attached(bool detach, bool json, uint64_t timeout_ms, struct pi_error *err);

#endif
