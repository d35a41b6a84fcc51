/* SPDX-License-Identifier: MIT */
/* "snapshot create" keeps an instance as it is. */
#include <stdio.h>

#include "agent/cli/client/connect.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/terminal/table.h"

struct snapshot_create_options {
    bool json;
};

static int run_snapshot_create(const struct cli_call *call, struct pi_error *err)
{
    const struct snapshot_create_options *options = call->values;
    const char *name = call->operands[0];
    const struct api_snapshot_request request = {.tag = call->count > 1 ? call->operands[1] : NULL};
    pi_auto_agent struct cli_agent agent = {0};
    json_auto_t *body = pi_fields_write(api_new_snapshot_fields, &request), *reply = NULL;
    int r = cli_connect(&agent, err);
    if (r == 0)
        r = cli_call_snapshots(&agent, "POST", name, NULL, body, &reply, err);
    if (r < 0 || options->json)
        return r < 0 ? r : cli_json_print(reply, err);
    printf("%s: %s\n", name, cli_json_text(reply, "snapshot"));
    return PI_OK;
}

static const struct cli_option snapshot_create_table[] = {
    {.name = "json",
     CLI_MEMBER(CLI_FLAG, snapshot_create_options, json),
     .help = "the instance as the agent's JSON"},
    {0},
};

const struct cli_command cli_command_snapshot_create = {
    .name = "snapshot create",
    .operands = "NAME [TAG]",
    .summary = "keeps an instance as it is: its disk, and its memory if it runs",
    .details =
        "A guest that runs stands still for a moment, and goes on. TAG is the snapshot's name; without one it is the\n"
        "next free snap-1, snap-2 and so on, which is printed. piagent help snapshots tells the rest.",
    .example = "piagent snapshot create pi-1 before-upgrade",
    .options = snapshot_create_table,
    .values_size = sizeof(struct snapshot_create_options),
    .min_operands = 1,
    .max_operands = 2,
    .operand = CLI_MACHINE,
    .makes_rest = true,
    .run = run_snapshot_create,
};
