/* SPDX-License-Identifier: MIT */
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/cli/client/connect.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/terminal/strip.h"

static int print_metrics(const char *bytes, size_t size, void *user)
{
    struct cli_strip *strip = user;
    pi_auto_buf struct pi_buf text = {0};
    int r = pi_buf_add(&text, bytes, size);
    return r < 0 ? r : pi_write_all(STDOUT_FILENO, text.data, cli_strip(strip, text.data, text.size));
}

static int run_metrics(const struct cli_call *call, struct pi_error *err)
{
    pi_auto_agent struct cli_agent agent = {0};
    struct cli_strip strip = {0};
    (void)call;
    int r = cli_connect(&agent, err);
    return r < 0 ? r : cli_stream(&agent, "/v1/metrics", print_metrics, &strip, err);
}

const struct cli_command cli_command_metrics = {
    .name = "metrics",
    .summary = "prints metrics of the agent and all instances, for Prometheus",
    .details =
        "As the node exporter's textfile collector takes them. The agent itself serves them at a port of 127.0.0.1\n"
        "if it is asked to: piagent help service.",
    .example = "piagent metrics | grep boot_duration",
    .run = run_metrics,
};
