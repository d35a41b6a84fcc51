/* SPDX-License-Identifier: MIT */
/*
 * The options with which ssh, scp, rsync and a configuration file reach an instance. piagent decides where a
 * connection goes, which commands share it and how the host proves its identity. ssh and scp take every
 * option that they do not get from ssh_config(5), so they read neither the user's file nor the host's (-F
 * none). piagent takes the user's identities and terminal settings from "ssh -G", and nothing else. It asks when a connection
 * is opened, and keeps the answer in the instance's folder for the commands that share it: ssh itself sends only variables
 * that were named when the connection was opened.
 *
 * "piagent ssh --stdio NAME" makes the connection as ssh's ProxyCommand: it waits until the instance is up
 * and finds the port that it has then, so the output of ssh-config stays true.
 */
#ifndef PIAGENT_CLI_SSH_OPTIONS_H
#define PIAGENT_CLI_SSH_OPTIONS_H

#include <stdbool.h>

#include "agent/api/types.h"
#include "agent/base/buf.h"

struct cli_ssh {
    const char *ssh; /* the program's path */
    const char *url; /* of the host that it runs on (remote_host.h); NULL = this host */
    const struct api_instance *instance;
    const char *host;            /* the instance's name, or "%n" for the host that ssh is called with */
    const char *control_path;    /* of the connection to share; NULL = a connection of its own */
    bool connected;              /* that connection is open */
    const struct pi_strv *given; /* the user's own, "Key=value" each, weaker than ours; NULL = none */
};

/* Adds the options to ret, "Key value" each, as in ssh_config(5). Does not use ssh and given. 0 or -ENOMEM.
 * */
int cli_ssh_options(const struct cli_ssh *how, struct pi_strv *ret);

/* The same as words for ssh and scp, with -F none, the given options and the settings that are kept from the
 * user's configuration. If ssh cannot read the configuration, it is passed over with a line on standard
 * error. 0 or -ENOMEM. */
int cli_ssh_words(const struct cli_ssh *how, struct pi_strv *ret);

#endif
