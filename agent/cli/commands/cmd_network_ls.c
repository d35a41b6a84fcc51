/* SPDX-License-Identifier: MIT */
/* "network ls" lists the networks that instances share. */
#include <errno.h>
#include <stdio.h>

#include "agent/cli/client/connect.h"
#include "agent/cli/client/instance_view.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/terminal/host_hint.h"
#include "agent/cli/terminal/table.h"

struct network_ls_options {
    bool json;
};

static int add_network_row(struct libscols_table *table, const json_t *network)
{
    char members[32], running[32], age[32];
    const json_t *member, *list = json_object_get(network, "members");
    size_t i, live = 0;
    json_array_foreach(list, i, member)
        live += !cli_state_is_over(cli_json_state(member));
    snprintf(members, sizeof members, "%zu", json_array_size(list));
    snprintf(running, sizeof running, "%zu", live);
    const char *const cells[] = {
        cli_json_text(network, "name"),
        json_string_value(json_object_get(network, "subnet")),
        members,
        running,
        cli_age((uint64_t)json_integer_value(json_object_get(network, "created_ms")), age),
    };
    return cli_table_add(table, cells, CLI_PLAIN);
}

static int print_networks(const json_t *list, struct pi_error *err)
{
    static const struct cli_column columns[] = {
        {"NAME", CLI_LEFT},     {"SUBNET", CLI_LEFT}, {"MEMBERS", CLI_RIGHT},
        {"RUNNING", CLI_RIGHT}, {"AGE", CLI_RIGHT},   {0},
    };
    pi_auto_table struct libscols_table *table = cli_table_new(columns, false);
    int r = table ? 0 : -ENOMEM;
    const json_t *network;
    size_t i;
    json_array_foreach(list, i, network)
        if (r == 0)
            r = add_network_row(table, network);
    if (r < 0)
        return pi_fail(err, -r, "network ls");
    r = cli_table_print(table, err);
    json_array_foreach(list, i, network)
        if (*cli_json_text(network, "reason"))
            printf("%s: %s\n", cli_json_text(network, "name"), cli_json_text(network, "reason"));
    return r;
}

static int run_network_ls(const struct cli_call *call, struct pi_error *err)
{
    const struct network_ls_options *options = call->values;
    pi_auto_agent struct cli_agent agent = {0};
    json_auto_t *reply = NULL;
    int r = cli_connect(&agent, err);
    if (r == 0)
        r = cli_call_networks(&agent, "GET", NULL, NULL, &reply, err);
    if (r < 0 || options->json)
        return r < 0 ? r : cli_json_print(reply, err);
    const json_t *list = json_object_get(reply, "networks");
    if (json_array_size(list))
        return print_networks(list, err);
    cli_note("there is no network yet: piagent network create NAME makes one");
    return PI_OK;
}

static const struct cli_option network_ls_table[] = {
    {.name = "json", CLI_MEMBER(CLI_FLAG, network_ls_options, json), .help = "as the agent's JSON"},
    {0},
};

const struct cli_command cli_command_network_ls = {
    .name = "network ls",
    .summary = "lists the networks that instances share",
    .example = "piagent network ls",
    .options = network_ls_table,
    .values_size = sizeof(struct network_ls_options),
    .run = run_network_ls,
};
