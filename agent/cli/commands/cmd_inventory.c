/* SPDX-License-Identifier: MIT */
/* "inventory" prints the instances for Ansible. */
#include <errno.h>
#include <stdio.h>

#include "agent/base/auto.h"
#include "agent/cli/client/chosen.h"
#include "agent/cli/client/inventory.h"
#include "agent/cli/client/remote_key.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/terminal/table.h"

struct inventory_options {
    struct cli_selection which;
    bool list;
    char *host;
};

static int print_yaml(const struct cli_inventory *inventory, struct pi_error *err)
{
    pi_auto_buf struct pi_buf text = {0};
    int r = cli_inventory_yaml(inventory, &text);
    if (r < 0)
        return pi_fail(err, -r, "inventory");
    fputs(text.data, stdout);
    return PI_OK;
}

static int print_inventory(const struct cli_host *place, struct cli_chosen *chosen,
                           const struct inventory_options *options, struct pi_error *err)
{
    pi_auto_inventory struct cli_inventory inventory = {.url = place->url};
    for (size_t i = 0; i < chosen->count; i++) {
        int r = place->url && chosen->items[i].folder ? cli_key_place(place, &chosen->items[i]) : 0;
        if (r == 0)
            r = cli_inventory_add(&inventory, &chosen->items[i]);
        if (r < 0)
            return pi_fail(err, -r, "inventory");
    }
    if (!options->list && !options->host)
        return print_yaml(&inventory, err);
    json_auto_t *list = cli_inventory_list(&inventory);
    if (!list)
        return pi_fail(err, ENOMEM, "inventory");
    json_t *vars = options->host ? json_object_get(inventory.hosts, options->host) : list;
    return vars ? cli_json_print(vars, err)
                : pi_refuse(err, PI_CONFLICT, "%s: its record cannot be read", options->host);
}

static int run_inventory(const struct cli_call *call, struct pi_error *err)
{
    const struct inventory_options *options = call->values;
    pi_auto_agent struct cli_agent agent = {0};
    pi_auto_chosen struct cli_chosen chosen = {0};
    struct cli_call named = *call;
    struct cli_selection which = options->which;
    char *host[] = {options->host, NULL};
    if (options->host && (options->list || call->count || which.all || cli_selection_is_part(&which)))
        return pi_refuse(err, PI_USAGE, "--host goes without --list and without other instances");
    if (options->host)
        named.operands = host, named.count = 1;
    which.all = which.all || !named.count;
    int r = cli_connect(&agent, err);
    if (r == 0)
        r = cli_choose(&agent, &named, &which, CLI_MACHINE, &chosen, err);
    return r < 0 ? r : print_inventory(&agent.host, &chosen, options, err);
}

static const struct cli_option inventory_table[] = {
    CLI_SELECTION_OPTIONS(inventory_options, 0, "all of them (the default)"),
    {.name = "list",
     CLI_MEMBER(CLI_FLAG, inventory_options, list),
     .help = "as Ansible reads it from a script: JSON"},
    {.name = "host",
     CLI_MEMBER(CLI_STRING, inventory_options, host),
     .kind = CLI_MACHINE,
     .argument = "NAME",
     .help = "the variables of one, as Ansible reads them from a script"},
    {0},
};

const struct cli_command cli_command_inventory = {
    .name = "inventory",
    .operands = "[NAME...]",
    .summary = "prints the instances as an inventory of Ansible",
    .details =
        "Without a name or a selection, all of them, in groups: arch_ARCH, state_STATE, fleet_NAME, role_NAME and\n"
        "label_KEY_VALUE. Written to a file, the inventory stays true when a port changes, and waits for an instance that\n"
        "boots. If Ansible is to ask each time, it can run piagent inventory from a script: see piagent help connecting.",
    .example = "piagent inventory > hosts.yaml",
    .options = inventory_table,
    .values_size = sizeof(struct inventory_options),
    .max_operands = 4096,
    .operand = CLI_MACHINE,
    .run = run_inventory,
};
