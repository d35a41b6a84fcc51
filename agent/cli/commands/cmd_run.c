/* SPDX-License-Identifier: MIT */
/* "run" makes an instance, or a fleet of equal ones, and follows it. */
#include "agent/base/auto.h"
#include "agent/cli/client/foreground.h"
#include "agent/cli/client/wait.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/commands/run_as_job.h"
#include "agent/cli/commands/run_fleet.h"
#include "agent/cli/commands/run_options.h"

/* The exit code, or negative with err filled. */
static int run_one(const struct cli_create *options, const json_t *body, bool detach, struct pi_error *err)
{
    pi_auto_agent struct cli_agent agent = {0};
    pi_auto_instance struct api_instance made = {0};
    const struct cli_wait how = {.made = options->no_start,
                                 .fresh = true,
                                 .login = true,
                                 .json = options->json,
                                 .timeout_ms = options->timeout_ms};
    int r = cli_connect(&agent, err);
    if (r < 0)
        return r;
    cli_follow_hold_signals();
    r = cli_create_instance(&agent, body, &made, err);
    if (r < 0)
        return r;
    return detach ? cli_wait(&how, &agent, &made, 1, err) : cli_foreground(&agent, &made, true, err);
}

static int run_run(const struct cli_call *call, struct pi_error *err)
{
    const struct cli_create *options = call->values;
    json_auto_t *body = NULL;
    bool detach = options->detach || options->no_start || options->count;
    if (options->job)
        return cli_run_as_job(options, call->operands[0], err);
    if (options->grace_ms)
        return pi_refuse(err, PI_USAGE, "--grace goes with --job");
    if (!options->count && (options->pace.parallel || options->pace.overcommit))
        return pi_refuse(err, PI_USAGE, "%s goes with --count",
                         options->pace.parallel ? "--parallel" : "--overcommit");
    int r = cli_refuse_attached(detach, options->json, options->timeout_ms, err);
    if (r == 0)
        r = cli_create_request(options, call->operands[0], &body, err);
    if (r < 0)
        return r;
    return options->count ? cli_run_fleet(options, call->operands[0], body, err)
                          : run_one(options, body, detach, err);
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
