/* SPDX-License-Identifier: MIT */
/* "run" makes an instance and follows it. */
#include <errno.h>

#include "agent/base/auto.h"
#include "agent/cli/client/foreground.h"
#include "agent/cli/client/wait.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/commands/run_options.h"

static int run_run(const struct cli_call *call, struct pi_error *err)
{
    const struct cli_create *options = call->values;
    pi_auto_agent struct cli_agent agent = {0};
    pi_auto_instance struct api_instance instance = {0};
    json_auto_t *body = NULL, *reply = NULL;
    bool detach = options->detach || options->no_start;
    int r = cli_refuse_attached(detach, options->json, options->timeout_ms, err);
    if (r == 0)
        r = cli_create_request(options, call->operands[0], &body, err);
    if (r == 0)
        r = cli_connect(&agent, err);
    cli_follow_hold_signals();
    if (r == 0)
        r = api_client_call(agent.client, "POST", "/v1/instances", body, CLI_CALL_MS, &reply, err);
    if (r == 0 && (r = api_read(instance, reply, &instance, err)) < 0)
        pi_context(err, r, "the agent's answer");
    instance.last_event = 0;
    if (r < 0 || !detach)
        return r < 0 ? r : cli_foreground(&agent, &instance, true, err);
    const struct cli_wait how = {.stopped = options->no_start,
                                 .fresh = true,
                                 .login = true,
                                 .json = options->json,
                                 .timeout_ms = options->timeout_ms};
    return cli_wait(&how, &agent, &instance, 1, err);
}

const struct cli_command cli_command_run = {
    .name = "run",
    .operands = "NAME",
    .summary = "makes an instance and boots it",
    .details = CLI_FOREGROUND_HELP,
    .example = "piagent run pi-2 --arch aarch64 --memory 1G --ssh-key ~/.ssh/id_ed25519.pub -d",
    .options = cli_create_options,
    .values_size = sizeof(struct cli_create),
    .min_operands = 1,
    .max_operands = 1,
    .operand = CLI_TEXT,
    .surplus = "name the image with --image IMAGE",
    .run = run_run,
};
