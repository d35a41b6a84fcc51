/* SPDX-License-Identifier: MIT */
/* "logs" shows what a guest's console has shown. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/cli/client/connect.h"
#include "agent/cli/client/instance_view.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/terminal/strip.h"

struct logs_options {
    bool follow;
    uint64_t lines;
};

struct logs {
    struct cli_strip strip;
    bool clean;      /* for a terminal */
    bool unfinished; /* the last line has no end yet */
};

static int on_log_data(const char *bytes, size_t size, void *user)
{
    struct logs *logs = user;
    if (!logs->clean)
        return pi_write_all(STDOUT_FILENO, bytes, size);
    pi_auto_buf struct pi_buf text = {0};
    if (pi_buf_add(&text, bytes, size) < 0)
        return -ENOMEM;
    size_t left = cli_strip(&logs->strip, text.data, text.size);
    if (left)
        logs->unfinished = text.data[left - 1] != '\n';
    return pi_write_all(STDOUT_FILENO, text.data, left);
}

/* A stopped instance prints nothing until somebody starts it: say what the command waits for. */
static int tell_stopped(struct cli_agent *agent, const char *name, struct pi_error *err)
{
    pi_auto_instance struct api_instance instance = {0};
    int r = cli_get_instance(agent, name, &instance, err);
    if (r == 0 && cli_state_is_over(instance.state))
        fprintf(stderr, "%s is %s: more is shown when it is started, an interrupt ends this\n", instance.name,
                api_state_word(&instance));
    return r;
}

static int run_logs(const struct cli_call *call, struct pi_error *err)
{
    const struct logs_options *options = call->values;
    char path[PI_NAME_MAX + 112], lines[48] = "";
    pi_auto_agent struct cli_agent agent = {0};
    struct logs logs = {.clean = isatty(STDOUT_FILENO)};
    int r = pi_name_check(call->operands[0], err);
    if (r == 0)
        r = cli_connect(&agent, err);
    if (r == 0 && options->follow)
        r = tell_stopped(&agent, call->operands[0], err);
    if (options->lines)
        snprintf(lines, sizeof lines, "&last_lines=%" PRIu64, options->lines);
    snprintf(path, sizeof path, "/v1/instances/%.*s/console?follow=%d%s", PI_NAME_MAX, call->operands[0],
             options->follow, lines);
    if (r == 0)
        r = cli_stream(&agent, path, on_log_data, &logs, err);
    if (logs.unfinished) /* the shell's prompt begins a line of its own */
        (void)pi_write_all(STDOUT_FILENO, "\n", 1);
    return r;
}

static const struct cli_option logs_table[] = {
    {.name = "tail",
     .letter = 'n',
     CLI_MEMBER(CLI_NUMBER, logs_options, lines),
     .argument = "N",
     .min = 1,
     .max = INT64_MAX,
     .help = "only the last N lines (default: all that are kept)"},
    {.name = "follow",
     .letter = 'f',
     CLI_MEMBER(CLI_FLAG, logs_options, follow),
     .help = "go on as the guest prints more"},
    {0},
};

const struct cli_command cli_command_logs = {
    .name = "logs",
    .operands = "NAME",
    .summary = "shows what the guest printed on its console",
    .details =
        "A terminal gets it without control sequences, anything else byte for byte. With -f it goes on, even if the\n"
        "instance is stopped: it ends with an interrupt, or when the instance is removed.",
    .example = "piagent logs -f pi-1",
    .options = logs_table,
    .values_size = sizeof(struct logs_options),
    .min_operands = 1,
    .max_operands = 1,
    .operand = CLI_MACHINE,
    .run = run_logs,
};
