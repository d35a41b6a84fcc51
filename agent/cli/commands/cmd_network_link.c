/* SPDX-License-Identifier: MIT */
/* "network link" and "network unlink": a network that spans hosts. */
#include <errno.h>
#include <stdio.h>

#include "agent/cli/client/connect.h"
#include "agent/cli/commands/command_table.h"

static int change_link(const struct cli_call *call, const char *action, struct pi_error *err)
{
    const struct api_network_link link = {.host = call->operands[1]};
    char path[PI_NAME_MAX + 64];
    pi_auto_agent struct cli_agent agent = {0};
    json_auto_t *body = pi_fields_write(api_network_link_fields, &link);
    int r = body ? pi_name_check(call->operands[0], err) : pi_fail(err, ENOMEM, "network %s", action);
    if (r < 0 || (r = cli_connect(&agent, err)) < 0)
        return r;
    snprintf(path, sizeof path, "/v1/networks/%s/%s", call->operands[0], action);
    return api_client_call(agent.client, "POST", path, body, CLI_CALL_MS, NULL, err);
}

static int run_network_link(const struct cli_call *call, struct pi_error *err)
{
    int r = change_link(call, "link", err);
    if (r == 0)
        printf("%s: linking with %s: piagent network status %s tells how it is\n", call->operands[0],
               call->operands[1], call->operands[0]);
    return r;
}

static int run_network_unlink(const struct cli_call *call, struct pi_error *err)
{
    return change_link(call, "unlink", err);
}

const struct cli_command cli_command_network_link = {
    .name = "network link",
    .operands = "NAME ssh://[USER@]HOST[:PORT]",
    .summary = "links a network with the one of that name on another host",
    .details =
        "The network there must have the same subnet. The agent keeps the link by SSH, with a key that asks for nothing, also\n"
        "after it has been restarted, until piagent network unlink. piagent network status shows it.",
    .example = "piagent network link lab ssh://build-2",
    .min_operands = 2,
    .max_operands = 2,
    .operand = CLI_NETWORK,
    .run = run_network_link,
};

const struct cli_command cli_command_network_unlink = {
    .name = "network unlink",
    .operands = "NAME ssh://[USER@]HOST[:PORT]",
    .summary = "ends a link of a network with another host",
    .example = "piagent network unlink lab ssh://build-2",
    .min_operands = 2,
    .max_operands = 2,
    .operand = CLI_NETWORK,
    .run = run_network_unlink,
};
