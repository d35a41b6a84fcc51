/* SPDX-License-Identifier: MIT */
/* "network rm" removes networks that have no member. */
#include "agent/cli/client/connect.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/terminal/error_report.h"

static int run_network_rm(const struct cli_call *call, struct pi_error *err)
{
    pi_auto_agent struct cli_agent agent = {0};
    int r = cli_connect(&agent, err);
    for (unsigned i = 0; r == 0 && i < call->count; i++) /* a wrong name leaves the others as they are */
        r = cli_call_networks(&agent, "GET", call->operands[i], NULL, NULL, err);
    int code = PI_OK;
    for (unsigned i = 0; r == 0 && i < call->count; i++) /* one that has members does not keep the others */
        if (cli_call_networks(&agent, "DELETE", call->operands[i], NULL, NULL, err) < 0) {
            int failed = cli_report(err);
            code = code ? code : failed;
        }
    return r < 0 ? r : code;
}

const struct cli_command cli_command_network_rm = {
    .name = "network rm",
    .operands = "NAME...",
    .summary = "removes networks that have no member",
    .example = "piagent network rm lab",
    .min_operands = 1,
    .max_operands = 64,
    .operand = CLI_NETWORK,
    .destructive = true,
    .run = run_network_rm,
};
