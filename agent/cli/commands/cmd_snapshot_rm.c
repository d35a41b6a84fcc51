/* SPDX-License-Identifier: MIT */
/* "snapshot rm" removes snapshots. */
#include "agent/cli/client/connect.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/terminal/error_report.h"

static int remove_tag(struct cli_agent *agent, const char *name, char *tag, struct pi_error *err)
{
    const struct api_snapshot_request request = {.tag = tag};
    json_auto_t *body = pi_fields_write(api_old_snapshot_fields, &request);
    return cli_call_snapshots(agent, "POST", name, "remove", body, NULL, err);
}

static int run_snapshot_rm(const struct cli_call *call, struct pi_error *err)
{
    pi_auto_agent struct cli_agent agent = {0};
    int code = PI_OK, r = cli_connect(&agent, err);
    for (unsigned i = 1; r == 0 && i < call->count; i++) /* one that is not there does not keep the others */
        if (remove_tag(&agent, call->operands[0], call->operands[i], err) < 0) {
            int failed = cli_report(err);
            code = code ? code : failed;
        }
    return r < 0 ? r : code;
}

const struct cli_command cli_command_snapshot_rm = {
    .name = "snapshot rm",
    .operands = "NAME TAG...",
    .summary = "removes snapshots of an instance; the others and the instance stay as they are",
    .example = "piagent snapshot rm pi-1 before-upgrade",
    .min_operands = 2,
    .max_operands = 65,
    .operand = CLI_MACHINE,
    .makes_rest = true,
    .destructive = true,
    .run = run_snapshot_rm,
};
