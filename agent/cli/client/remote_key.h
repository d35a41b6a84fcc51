/* SPDX-License-Identifier: MIT */
/*
 * Copies of instances' SSH keys from another host. ssh, scp and rsync run here, so that their forwards, files and
 * agents are this host's, and they take a key only from a file. The copies are in the runtime folder: nobody else
 * can read it, and it is gone when the user logs out.
 */
#ifndef PIAGENT_CLI_REMOTE_KEY_H
#define PIAGENT_CLI_REMOTE_KEY_H

#include "agent/api/types.h"
#include "agent/cli/client/remote_host.h"

/* Makes instance->folder the folder of the copies. Does not copy anything yet. 0 or -ENOMEM. */
int cli_key_place(const struct cli_host *host, struct api_instance *instance);

/* The same, and copies ssh_key and known_hosts of the instance, whose folder is still the one there. */
int cli_key_fetch(const struct cli_host *host, struct api_instance *instance, struct pi_error *err);

#endif
