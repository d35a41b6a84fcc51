/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>

#include "agent/base/auto.h"
#include "agent/cli/client/chosen.h"
#include "agent/cli/client/remote_key.h"
#include "agent/cli/client/ssh_options.h"
#include "agent/cli/commands/command_table.h"

/* A "Host *" of the user's or the host's configuration gives none of these to a guest. */
static const char *const unasked[] = {"ForwardAgent no",    "ForwardX11 no", "PermitLocalCommand no",
                                      "RemoteCommand none", "Tunnel no",     "AddKeysToAgent no"};

static int print_host(const struct cli_agent *agent, struct api_instance *instance, struct pi_error *err)
{
    pi_auto_strv struct pi_strv options = {0};
    const struct cli_ssh how = {.url = agent->host.url, .instance = instance, .host = instance->name};
    if (!instance->folder || !instance->spec.user) /* its record cannot be read */
        return 0;
    int r = agent->host.url ? cli_key_place(&agent->host, instance) : 0;
    if (r == 0)
        r = cli_ssh_options(&how, &options);
    if (r < 0)
        return pi_fail(err, -r, "ssh-config");
    printf("Host %s\n    User %s\n", instance->name, instance->spec.user);
    for (size_t i = 0; i < options.count; i++)
        printf("    %s\n", options.items[i]);
    for (size_t i = 0; i < PI_ARRAY_SIZE(unasked); i++)
        printf("    %s\n", unasked[i]);
    return 0;
}

struct ssh_config_options {
    struct cli_selection which;
};

static int run_ssh_config(const struct cli_call *call, struct pi_error *err)
{
    const struct ssh_config_options *options = call->values;
    struct cli_selection which = options->which;
    pi_auto_agent struct cli_agent agent = {0};
    pi_auto_chosen struct cli_chosen chosen = {0};
    which.all = which.all || !call->count;
    int r = cli_connect(&agent, err);
    if (r == 0)
        r = cli_choose(&agent, call, &which, CLI_MACHINE, &chosen, err);
    for (size_t i = 0; r == 0 && i < chosen.count; i++)
        r = print_host(&agent, &chosen.items[i], err);
    return r;
}

static const struct cli_option ssh_config_table[] = {
    CLI_SELECTION_OPTIONS(ssh_config_options, 0, "all of them (the default)"),
    {0},
};

const struct cli_command cli_command_ssh_config = {
    .name = "ssh-config",
    .operands = "[NAME...]",
    .summary = "prints an ssh_config for ssh and editors",
    .details =
        "Without a name or a selection, for all instances. It stays true when a port changes, and waits for an instance\n"
        "that boots: put it into a file and name that at the top of ~/.ssh/config (Include ~/.ssh/piagent).\n"
        "There, ssh still adds the LocalForward, RemoteForward and DynamicForward of your other Host entries, and runs\n"
        "your Match exec: piagent ssh does neither.",
    .example = "piagent ssh-config > ~/.ssh/piagent",
    .options = ssh_config_table,
    .values_size = sizeof(struct ssh_config_options),
    .max_operands = 4096,
    .operand = CLI_MACHINE,
    .run = run_ssh_config,
};
