/* SPDX-License-Identifier: MIT */
/* An instance that has just been started, in the foreground of this command: its console in a terminal, its progress elsewhere. */
#ifndef PIAGENT_CLI_FOREGROUND_H
#define PIAGENT_CLI_FOREGROUND_H

#include "agent/cli/client/instance_follow.h"

/* What --help says of it. */
#define CLI_FOREGROUND_HELP                                                                               \
    "In a terminal the guest's serial console is attached; Ctrl-] leaves it, and the machine runs on.\n"  \
    "The prompt there takes a password, which there is only if you gave one: piagent ssh needs none.\n"   \
    "Elsewhere the command shows progress until the machine has stopped; an interrupt (or SIGTERM)\n"     \
    "powers it down in order, a second one kills it. The exit code is 8 where cloud-init failed or, in\n" \
    "a first boot, did not report, or the guest's kernel panicked."

/* Until the instance has stopped, or its console is left. instance is as the agent answered the request that started it; fresh: this
 * command made it, and undoes it if it is interrupted before the guest runs. The exit code, or negative with err filled. */
int cli_foreground(struct cli_agent *agent, const struct api_instance *instance, bool fresh,
                   struct pi_error *err);

/* Options that only make sense with -d are refused (PI_USAGE) without it. */
int cli_refuse_attached(bool detach, bool json, uint64_t timeout_ms, struct pi_error *err);

#endif
