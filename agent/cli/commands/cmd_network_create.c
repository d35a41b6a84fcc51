/* SPDX-License-Identifier: MIT */
/* "network create" makes a network that instances share. */
#include <errno.h>
#include <stdio.h>

#include "agent/cli/client/connect.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/terminal/table.h"

struct network_create_options {
    char *subnet;
    bool json;
};

static int run_network_create(const struct cli_call *call, struct pi_error *err)
{
    const struct network_create_options *options = call->values;
    const struct api_network network = {.name = call->operands[0], .subnet = options->subnet};
    pi_auto_agent struct cli_agent agent = {0};
    json_auto_t *body = pi_fields_write(api_new_network_fields, &network), *reply = NULL;
    int r = body ? cli_connect(&agent, err) : pi_fail(err, ENOMEM, "network create");
    if (r == 0)
        r = cli_call_networks(&agent, "POST", NULL, body, &reply, err);
    if (r < 0 || options->json)
        return r < 0 ? r : cli_json_print(reply, err);
    printf("%s: %s, the members ask %s for names\n", cli_json_text(reply, "name"),
           cli_json_text(reply, "subnet"), cli_json_text(reply, "gateway"));
    return PI_OK;
}

static const struct cli_option network_create_table[] = {
    {.name = "subnet",
     CLI_MEMBER(CLI_STRING, network_create_options, subnet),
     .kind = CLI_TEXT,
     .argument = "CIDR",
     .help = "a private subnet, from /16 to /29 (default: the next 10.77.N.0/24 that is not in use)"},
    {.name = "json", CLI_MEMBER(CLI_FLAG, network_create_options, json), .help = "as the agent's JSON"},
    {0},
};

const struct cli_command cli_command_network_create = {
    .name = "network create",
    .operands = "NAME",
    .summary = "makes a network that instances share",
    .details = "Instances join it with piagent run --network NAME: at most 1024, of which 256 run at once. "
               "piagent help networking tells the rest.",
    .example = "piagent network create lab --subnet 10.77.0.0/24",
    .options = network_create_table,
    .values_size = sizeof(struct network_create_options),
    .min_operands = 1,
    .max_operands = 1,
    .operand = CLI_TEXT,
    .run = run_network_create,
};
