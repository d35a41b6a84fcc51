/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>

#include "agent/base/auto.h"
#include "agent/cli/client/connect.h"
#include "agent/cli/client/ssh_options.h"
#include "agent/cli/commands/command_table.h"

/* A "Host *" of the user's or the host's configuration gives none of these to a guest. */
static const char *const unasked[] = {"ForwardAgent no",    "ForwardX11 no", "PermitLocalCommand no",
                                      "RemoteCommand none", "Tunnel no",     "AddKeysToAgent no"};

static int print_host(const struct api_instance *instance, struct pi_error *err)
{
    pi_auto_strv struct pi_strv options = {0};
    const struct cli_ssh how = {.instance = instance, .host = instance->name};
    if (!instance->folder || !instance->spec.user) /* its record cannot be read */
        return 0;
    int r = cli_ssh_options(&how, &options);
    if (r < 0)
        return pi_fail(err, -r, "ssh-config");
    printf("Host %s\n    User %s\n", instance->name, instance->spec.user);
    for (size_t i = 0; i < options.count; i++)
        printf("    %s\n", options.items[i]);
    for (size_t i = 0; i < PI_ARRAY_SIZE(unasked); i++)
        printf("    %s\n", unasked[i]);
    return 0;
}

static int print_one(struct cli_agent *agent, const char *name, struct pi_error *err)
{
    pi_auto_instance struct api_instance instance = {0};
    int r = cli_get_instance(agent, name, &instance, err);
    return r < 0 ? r : print_host(&instance, err);
}

static int print_all(struct cli_agent *agent, struct pi_error *err)
{
    json_auto_t *reply = NULL;
    json_t *item;
    size_t i;
    int r = api_client_call(agent->client, "GET", "/v1/instances", NULL, CLI_CALL_MS, &reply, err);
    if (r < 0)
        return r;
    json_array_foreach(json_object_get(reply, "instances"), i, item) {
        pi_auto_instance struct api_instance instance = {0};
        if ((r = api_read(instance, item, &instance, err)) < 0)
            return pi_context(err, r, "the agent's answer");
        if ((r = print_host(&instance, err)) < 0)
            return r;
    }
    return 0;
}

static int run_ssh_config(const struct cli_call *call, struct pi_error *err)
{
    pi_auto_agent struct cli_agent agent = {0};
    int r = cli_connect(&agent, err);
    if (r == 0 && !call->count)
        return print_all(&agent, err);
    for (unsigned i = 0; r == 0 && i < call->count; i++)
        r = print_one(&agent, call->operands[i], err);
    return r;
}

const struct cli_command cli_command_ssh_config = {
    .name = "ssh-config",
    .operands = "[NAME...]",
    .summary = "prints an ssh_config for ssh and editors",
    .details =
        "Without a name, for all instances. It stays true when a port changes, and waits for an instance that boots:\n"
        "put it into a file and name that at the top of ~/.ssh/config (Include ~/.ssh/piagent).\n"
        "There, ssh still adds the LocalForward, RemoteForward and DynamicForward of your other Host entries, and runs\n"
        "your Match exec: piagent ssh does neither.",
    .example = "piagent ssh-config > ~/.ssh/piagent",
    .max_operands = 4096,
    .operand = CLI_MACHINE,
    .run = run_ssh_config,
};
