/* SPDX-License-Identifier: MIT */
#include "agent/cli/commands/verb.h"

#include <errno.h>

#include "agent/cli/client/task.h"

const struct cli_option cli_request_options[] = {
    CLI_SELECTION_OPTIONS(cli_request_options, 0, "all of them, instead of NAME..."),
    CLI_RESULTS_OPTION(cli_request_options),
    {0},
};

int cli_run_request(const struct cli_call *call, struct pi_error *err)
{
    const struct cli_request_options *options = call->values;
    pi_auto_task struct cli_task task = {.request = call->command->name};
    int r = cli_task_begin(&task, call, &options->which, call->command->operand, options->json, err);
    return r < 0 ? r : cli_task_end(&task, cli_task_each(&task, cli_task_request), err);
}

int cli_run_stop(const struct cli_call *call, bool *ret_forced, struct pi_error *err)
{
    const struct cli_stop_options *options = call->values;
    struct api_stop stop = {.timeout_ms = options->timeout_ms, .step_ms = options->step_ms};
    json_auto_t *body = api_write(stop, &stop);
    pi_auto_task struct cli_task task = {.request = call->command->name, .body = body};
    if (!body)
        return pi_fail(err, ENOMEM, "%s", call->command->name);
    int r = cli_task_begin(&task, call, &options->which, CLI_MACHINE_LIVE, options->json, err);
    if (r < 0)
        return r;
    int code = cli_task_stop(&task, cli_task_request);
    *ret_forced = task.forced;
    return cli_task_end(&task, code, err);
}
