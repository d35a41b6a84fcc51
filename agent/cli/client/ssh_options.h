/* SPDX-License-Identifier: MIT */
/*
 * How ssh, scp, rsync and a configuration file are told to reach an instance. piagent decides where a
 * connection goes, who shares it and how the host is proven. ssh and scp take each option that they are not
 * given from ssh_config(5), so they read neither the user's file nor the host's (-F none). piagent takes the
 * user's identities and terminal settings from "ssh -G", and nothing else.
 *
 * The connection is made by "piagent ssh --stdio NAME" as ssh's ProxyCommand: it waits until the instance is
 * up and finds the port that it has then, so what ssh-config prints stays true.
 */
#ifndef PIAGENT_CLI_SSH_OPTIONS_H
#define PIAGENT_CLI_SSH_OPTIONS_H

#include "agent/api/types.h"
#include "agent/base/buf.h"

struct cli_ssh {
    const char *ssh; /* the program's path */
    const struct api_instance *instance;
    const char *host;            /* the instance's name, or "%n" for whatever host ssh is called with */
    const char *control_path;    /* of the connection to share; NULL = a connection of its own */
    const struct pi_strv *given; /* the user's own, "Key=value" each, weaker than ours; NULL = none */
};

/* The options as ssh_config(5) has them, "Key value" each, added to ret. ssh and given are not looked at. 0
 * or -ENOMEM. */
int cli_ssh_options(const struct cli_ssh *how, struct pi_strv *ret);

/* The same as words for ssh and scp, with -F none, the given options and the settings that are kept from the
 * user's configuration. If ssh cannot read the configuration, it is passed over with a line on standard
 * error. 0 or -ENOMEM. */
int cli_ssh_words(const struct cli_ssh *how, struct pi_strv *ret);

#endif
