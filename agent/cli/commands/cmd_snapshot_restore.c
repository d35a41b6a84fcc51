/* SPDX-License-Identifier: MIT */
/* "snapshot restore" makes an instance what it was, and lets a guest that ran then go on. */
#include <errno.h>
#include <stdlib.h>

#include "agent/base/auto.h"
#include "agent/cli/client/chosen.h"
#include "agent/cli/client/instance_view.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/commands/launch_chosen.h"

struct snapshot_restore_options {
    bool cold, no_start, json;
};

/* The guest goes on from its memory, as after piagent suspend. */
static int let_go_on(struct cli_agent *agent, const char *name, bool as_json, struct pi_error *err)
{
    static const struct cli_pace pace;
    const struct cli_wait how = {.login = true, .json = as_json};
    pi_auto_chosen struct cli_chosen chosen = {.items = calloc(1, sizeof *chosen.items)};
    if (!chosen.items)
        return pi_fail(err, ENOMEM, "snapshot restore");
    int r = cli_get_instance(agent, name, &chosen.items[0], err);
    if (r < 0)
        return r;
    chosen.count = 1;
    if (chosen.items[0].state == VM_SAVED)
        return cli_launch_chosen(agent, &chosen, &how, &pace, false, "piagent start", err);
    if (!as_json)
        cli_note("%s is %s: piagent start %s boots it", name, api_state_word(&chosen.items[0]), name);
    return PI_OK;
}

static int run_snapshot_restore(const struct cli_call *call, struct pi_error *err)
{
    const struct snapshot_restore_options *options = call->values;
    const char *name = call->operands[0];
    const struct api_snapshot_request request = {.tag = call->operands[1], .cold = options->cold};
    pi_auto_agent struct cli_agent agent = {0};
    json_auto_t *body = pi_fields_write(api_restore_fields, &request);
    int r = cli_connect(&agent, err);
    if (r == 0)
        r = cli_call_snapshots(&agent, "POST", name, "restore", body, NULL, err);
    return r < 0 || options->no_start ? r : let_go_on(&agent, name, options->json, err);
}

static const struct cli_option snapshot_restore_table[] = {
    {.name = "cold",
     CLI_MEMBER(CLI_FLAG, snapshot_restore_options, cold),
     .help = "its disk alone: for the guest as after a power cut"},
    {.name = "no-start",
     CLI_MEMBER(CLI_FLAG, snapshot_restore_options, no_start),
     .help = "do not let a guest that ran go on: it is saved then, and piagent start does it"},
    {.name = "json",
     CLI_MEMBER(CLI_FLAG, snapshot_restore_options, json),
     .help = "the events of its start as JSON lines"},
    {0},
};

const struct cli_command cli_command_snapshot_restore = {
    .name = "snapshot restore",
    .operands = "NAME TAG",
    .summary = "makes an instance what it was; a guest that ran goes on from there",
    .details =
        "All that the guest has written since then is lost, unless another snapshot holds it. The instance must\n"
        "not run. A snapshot with memory goes on where the guest was, in a second or two; one without is left\n"
        "stopped.\n"
        "piagent help snapshots tells the rest.",
    .example = "piagent snapshot restore pi-1 before-upgrade",
    .options = snapshot_restore_table,
    .values_size = sizeof(struct snapshot_restore_options),
    .min_operands = 2,
    .max_operands = 2,
    .operand = CLI_MACHINE_OVER,
    .makes_rest = true,
    .destructive = true,
    .run = run_snapshot_restore,
};
