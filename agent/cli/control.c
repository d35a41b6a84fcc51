/* SPDX-License-Identifier: MIT */
/* Commands that act on instances that are there: powerdown, kill, reset, pause, resume, reseed, rm. */
#include <errno.h>
#include <stdio.h>

#include "agent/base/auto.h"
#include "agent/cli/commands.h"
#include "agent/cli/task.h"
#include "agent/cli/view.h"

#define NAMES_MAX 64

struct stop_options {
    uint64_t timeout_ms, step_ms;
    bool all, json;
};

struct request_options {
    bool all, json, force; /* all, force: rm */
};

static bool is_live(const char *state)
{
    return !cli_state_is_over(state);
}

/* powerdown and kill are the request of the same name, followed to the instance's end. */
static int run_stop(const struct cli_call *call, struct pi_error *err)
{
    const struct stop_options *options = call->values;
    struct api_stop stop = {.timeout_ms = options->timeout_ms, .step_ms = options->step_ms};
    json_auto_t *body = api_write(stop, &stop);
    pi_auto_task struct cli_task task = {.request = call->command->name, .body = body};
    if (!body)
        return pi_fail(err, ENOMEM, "%s", call->command->name);
    int r = options->all ? cli_task_begin_all(&task, is_live, "nothing runs", options->json, err)
                         : cli_task_begin(&task, call, options->json, err);
    if (r < 0)
        return r;
    int code = cli_task_stop(&task);
    bool forced = code == PI_OK && task.forced && call->command == &cli_command_powerdown;
    return cli_task_end(&task, forced ? PI_TIMEOUT : code, err);
}

/* reset, pause, resume and reseed are the request of the same name, answered at once. */
static int run_request(const struct cli_call *call, struct pi_error *err)
{
    const struct request_options *options = call->values;
    pi_auto_task struct cli_task task = {.request = call->command->name};
    int r = cli_task_begin(&task, call, options->json, err);
    return r < 0 ? r : cli_task_end(&task, cli_task_each(&task, cli_task_request), err);
}

static int delete (struct cli_task *task, struct api_instance *instance, struct pi_error *err)
{
    return cli_call(&task->agent, "DELETE", instance->name, NULL, NULL, NULL, err);
}

/* Also one that runs: it is killed first. */
static int remove_by_force(struct cli_task *task, struct api_instance *instance, struct pi_error *err)
{
    int r = delete (task, instance, err);
    if (r == 0 || err->kind != PI_CONFLICT)
        return r;
    if ((r = cli_task_post(task, instance, err)) == 0)
        r = cli_task_await_stop(task, instance, err);
    return r != 0 ? r : delete (task, instance, err);
}

/* Of all there are: one that runs is kept, and what is done to each is told. */
static int remove_if_over(struct cli_task *task, struct api_instance *instance, struct pi_error *err)
{
    bool over = cli_state_is_over(instance->state);
    int r = over ? delete (task, instance, err) : 0;
    if (r < 0)
        return r;
    if (task->results)
        json_object_set_new(cli_task_result(task, instance), "removed", json_boolean(over));
    else if (over)
        fprintf(stderr, "%s: removed\n", instance->name);
    else
        fprintf(stderr, "%s: kept, it is %s\n", instance->name, instance->state);
    return 0;
}

static int run_rm(const struct cli_call *call, struct pi_error *err)
{
    const struct request_options *options = call->values;
    pi_auto_task struct cli_task task = {.request = "kill"};
    if (options->all && options->force)
        return pi_refuse(
            err, PI_USAGE,
            "rm --all removes what does not run, and --force would end what runs: powerdown --all "
            "first");
    int r = options->all ? cli_task_begin_all(&task, NULL, "there is no instance", options->json, err)
                         : cli_task_begin(&task, call, options->json, err);
    cli_act_fn *act = options->all ? remove_if_over : options->force ? remove_by_force : delete;
    return r < 0 ? r : cli_task_end(&task, cli_task_each(&task, act), err);
}

#define ALL_OPTION(struct_, help_)                                                                       \
    {                                                                                                    \
        .name = "all", .letter = 'a', .type = CLI_FLAG, .offset = offsetof(struct_, all), .names = true, \
        .help = (help_),                                                                                 \
    }

#define STEP_OPTION                                                              \
    {                                                                            \
        .name = "step-timeout", .type = CLI_DURATION, .argument = "TIME",        \
        .offset = offsetof(struct stop_options, step_ms),                        \
        .help = "how long QEMU may take to quit, and on SIGTERM (default: 10s)", \
    }

#define JSON_OPTION(struct_)                                                 \
    {                                                                        \
        .name = "json", .type = CLI_FLAG, .offset = offsetof(struct_, json), \
        .help = "what came of each machine, as JSON",                        \
    }

static const struct cli_option powerdown_table[] = {
    ALL_OPTION(struct stop_options, "all that run, instead of NAME..."),
    {.name = "timeout",
     .type = CLI_DURATION,
     .argument = "TIME",
     .offset = offsetof(struct stop_options, timeout_ms),
     .help = "how long the guest may take (default: 90s)"},
    STEP_OPTION,
    JSON_OPTION(struct stop_options),
    {0},
};
static const struct cli_option kill_table[] = {
    STEP_OPTION,
    JSON_OPTION(struct stop_options),
    {0},
};
static const struct cli_option rm_table[] = {
    ALL_OPTION(struct request_options, "all that do not run, instead of NAME...; each is told"),
    {.name = "force",
     .letter = 'f',
     .type = CLI_FLAG,
     .offset = offsetof(struct request_options, force),
     .help = "kill it first where it runs"},
    JSON_OPTION(struct request_options),
    {0},
};
static const struct cli_option request_table[] = {
    JSON_OPTION(struct request_options),
    {0},
};

const struct cli_command cli_command_powerdown = {
    .name = "powerdown",
    .operands = "NAME...",
    .summary = "asks the guest to power itself off, and sees to it",
    .details =
        "A guest that does not is ended in steps: QEMU is told to quit, then terminated, then killed. Each is\n"
        "shown; the exit code is 9 where the guest did not power itself off.",
    .example = "piagent powerdown pi-1 --timeout 2m",
    .options = powerdown_table,
    .values_size = sizeof(struct stop_options),
    .min_operands = 1,
    .max_operands = NAMES_MAX,
    .operand = CLI_MACHINE_LIVE,
    .run = run_stop,
};
const struct cli_command cli_command_kill = {
    .name = "kill",
    .operands = "NAME...",
    .summary = "ends machines at once, as pulling the plug does",
    .details =
        "QEMU is told to quit, which writes out what the guest has written; then terminated, then killed.",
    .example = "piagent kill pi-1",
    .options = kill_table,
    .values_size = sizeof(struct stop_options),
    .min_operands = 1,
    .max_operands = NAMES_MAX,
    .operand = CLI_MACHINE_LIVE,
    .destructive = true,
    .run = run_stop,
};
const struct cli_command cli_command_reset = {
    .name = "reset",
    .operands = "NAME...",
    .summary = "resets machines, as the button does",
    .example = "piagent reset pi-1",
    .options = request_table,
    .values_size = sizeof(struct request_options),
    .min_operands = 1,
    .max_operands = NAMES_MAX,
    .operand = CLI_MACHINE_LIVE,
    .destructive = true,
    .run = run_request,
};
const struct cli_command cli_command_pause = {
    .name = "pause",
    .operands = "NAME...",
    .summary = "stops machines' processors",
    .example = "piagent pause pi-1",
    .options = request_table,
    .values_size = sizeof(struct request_options),
    .min_operands = 1,
    .max_operands = NAMES_MAX,
    .operand = CLI_MACHINE_LIVE,
    .run = run_request,
};
const struct cli_command cli_command_resume = {
    .name = "resume",
    .operands = "NAME...",
    .summary = "lets paused machines go on, and wakes suspended ones",
    .example = "piagent resume pi-1",
    .options = request_table,
    .values_size = sizeof(struct request_options),
    .min_operands = 1,
    .max_operands = NAMES_MAX,
    .operand = CLI_MACHINE_LIVE,
    .run = run_request,
};
const struct cli_command cli_command_reseed = {
    .name = "reseed",
    .operands = "NAME...",
    .summary = "serves guests the seed of their first boot again",
    .details =
        "The user-data, the password and the SSH host key are served up to the end of a guest's first successful\n"
        "boot, because every process in the guest can fetch them. If you run \"cloud-init clean\" in the guest, it\n"
        "needs them again: they are served from now on, up to the end of its next successful boot.",
    .example = "piagent reseed pi-1",
    .options = request_table,
    .values_size = sizeof(struct request_options),
    .min_operands = 1,
    .max_operands = NAMES_MAX,
    .operand = CLI_MACHINE,
    .destructive = true,
    .run = run_request,
};
const struct cli_command cli_command_rm = {
    .name = "rm",
    .operands = "NAME...",
    .summary = "removes stopped machines with all their files",
    .example = "piagent rm --force pi-1",
    .options = rm_table,
    .values_size = sizeof(struct request_options),
    .min_operands = 1,
    .max_operands = NAMES_MAX,
    .operand = CLI_MACHINE_OVER,
    .destructive = true,
    .run = run_rm,
};
