/* SPDX-License-Identifier: MIT */
/* Commands that act on machines that are there: powerdown, kill, reset, pause, resume, reseed, rm. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/cli/commands.h"
#include "agent/cli/follow.h"
#include "agent/cli/table.h"
#include "agent/cli/wait.h"

#define NAMES_MAX 64

struct stop_options {
    uint64_t timeout_ms, step_ms;
    bool json;
};

struct request_options {
    bool json, force; /* force: rm */
};

/* What is done to each machine that a command names. */
struct task {
    struct cli_agent agent;
    const char *request; /* POST /v1/instances/NAME/request */
    const json_t *body;
    bool force;      /* rm */
    bool forced;     /* a guest did not power itself off */
    json_t *results; /* --json: {"name"} and what came of it, one a machine; or NULL */
    struct api_instance instances[NAMES_MAX]; /* as they were before the request; no name = it was refused */
};

static void task_done(struct task *task)
{
    for (size_t i = 0; i < NAMES_MAX; i++)
        api_done(instance, &task->instances[i]);
    json_decref(task->results);
    cli_agent_done(&task->agent);
}
#define pi_auto_task __attribute__((cleanup(task_done)))

static int begin(struct task *task, const struct cli_call *call, bool json, struct pi_error *err)
{
    if (json && !(task->results = json_array()))
        return pi_fail(err, ENOMEM, "%s", call->command->name);
    for (unsigned i = 0; json && i < call->count; i++)
        json_array_append_new(task->results, json_pack("{s:s}", "name", call->operands[i]));
    return cli_connect(&task->agent, err);
}

/* What came of it, as JSON where that is wanted; code is the command's exit code. */
static int end(const struct task *task, int code, struct pi_error *err)
{
    if (code < 0 || !task->results)
        return code;
    json_auto_t *shown = json_pack("{s:O}", "machines", task->results);
    int r = shown ? cli_json_print(shown, err) : pi_fail(err, ENOMEM, "results");
    return r < 0 ? r : code;
}

/* One that fails does not keep the others from it: its error is told at once. The exit code, or the first
 * failure's. */
static int each(struct task *task, const struct cli_call *call,
                int (*act)(struct task *task, const char *name, struct api_instance *instance,
                           struct pi_error *err))
{
    int code = PI_OK;
    for (unsigned i = 0; i < call->count; i++) {
        struct pi_error err = {0};
        if (act(task, call->operands[i], &task->instances[i], &err) == 0)
            continue;
        int failed = task->results ? (int)err.kind : cli_report(&err);
        if (task->results)
            json_object_set_new(json_array_get(task->results, i), "error", cli_error_json(&err));
        code = code ? code : failed;
    }
    return code;
}

static int request(struct task *task, const char *name, struct api_instance *instance, struct pi_error *err)
{
    (void)instance;
    return cli_call(&task->agent, "POST", name, task->request, task->body, NULL, err);
}

/* How a stop ended, for people, and whether the guest had its say. */
static const char *ended_by(const char *rung, bool *ret_forced)
{
    static const struct {
        const char *rung, *text;
        bool forced;
    } ends[] = {
        {"guest", "the guest powered itself off", false},
        {"powerdown", "the guest powered itself off", false},
        {"quit", "ended by QEMU's quit, without the guest's own poweroff", true},
        {"term", "QEMU did not quit and was terminated (SIGTERM)", true},
        {"kill", "QEMU did not quit and was killed (SIGKILL)", true},
    };
    for (size_t i = 0; rung && i < PI_ARRAY_SIZE(ends); i++)
        if (!strcmp(rung, ends[i].rung)) {
            *ret_forced = *ret_forced || ends[i].forced;
            return ends[i].text;
        }
    return "it has ended";
}

/* Asks for a stop, and keeps the instance as it was: what its events say from there on is news. */
static int ask_to_stop(struct task *task, const char *name, struct api_instance *instance,
                       struct pi_error *err)
{
    int r = cli_get_instance(&task->agent, name, instance, err);
    if (r == 0 && (r = request(task, name, instance, err)) < 0)
        api_done(instance, instance);
    return r;
}

static int await_stop(struct task *task, const char *name, struct api_instance *instance,
                      struct pi_error *err)
{
    pi_auto_follow struct cli_follow follow = {0};
    pi_auto_instance struct api_instance now = {0};
    int r = instance->name ? cli_follow_open(&follow, &task->agent, instance, err) : 0;
    while (r == 0 && instance->name && !cli_view_is_over(&follow.view)) {
        r = cli_follow_step(&follow, NULL, 0, err);
        if (r == 0 && follow.signal)
            return pi_refuse(err, PI_FAILED, "interrupted; %s goes on stopping", name);
    }
    if (r == 0 && instance->name && !strcmp(follow.view.state, "lost"))
        return cli_tell_over(&follow, true, err);
    if (r < 0 || !instance->name || (r = cli_get_instance(&task->agent, name, &now, err)) < 0)
        return r;
    cli_screen_line(&follow.screen, "%s: %s", name, ended_by(now.stopped_by, &task->forced));
    json_t *result = json_array_get(task->results, (size_t)(instance - task->instances));
    if (result && now.stopped_by)
        json_object_set_new(result, "stopped_by", json_string(now.stopped_by));
    return 0;
}

/* All are asked before any is waited for, so that they stop side by side. */
static int stop_all(struct task *task, const struct cli_call *call, struct pi_error *err)
{
    int r = begin(task, call, ((const struct stop_options *)call->values)->json, err);
    if (r < 0)
        return r;
    int asked = each(task, call, ask_to_stop), stopped = each(task, call, await_stop);
    return asked ? asked : stopped;
}

/* powerdown and kill are the request of the same name, followed to the machine's end. */
static int run_stop(const struct cli_call *call, struct pi_error *err)
{
    const struct stop_options *options = call->values;
    struct api_stop stop = {.timeout_ms = options->timeout_ms, .step_ms = options->step_ms};
    json_auto_t *body = api_write(stop, &stop);
    pi_auto_task struct task task = {.request = call->command->name, .body = body};
    if (!body)
        return pi_fail(err, ENOMEM, "%s", call->command->name);
    int r = stop_all(&task, call, err);
    return end(&task, r == 0 && task.forced && call->command == &cli_command_powerdown ? PI_TIMEOUT : r, err);
}

/* reset, pause, resume and reseed are the request of the same name, answered at once. */
static int run_request(const struct cli_call *call, struct pi_error *err)
{
    pi_auto_task struct task task = {.request = call->command->name};
    const struct request_options *options = call->values;
    int r = begin(&task, call, options->json, err);
    return r < 0 ? r : end(&task, each(&task, call, request), err);
}

static int remove_one(struct task *task, const char *name, struct api_instance *instance,
                      struct pi_error *err)
{
    int r = cli_call(&task->agent, "DELETE", name, NULL, NULL, NULL, err);
    if (r == 0 || !task->force || err->kind != PI_CONFLICT)
        return r;
    r = ask_to_stop(task, name, instance, err);
    if (r == 0)
        r = await_stop(task, name, instance, err);
    if (r < 0 && err->kind != PI_CONFLICT) /* else it has ended by itself meanwhile */
        return r;
    return cli_call(&task->agent, "DELETE", name, NULL, NULL, NULL, err);
}

static int run_rm(const struct cli_call *call, struct pi_error *err)
{
    const struct request_options *options = call->values;
    pi_auto_task struct task task = {.request = "kill", .force = options->force};
    int r = begin(&task, call, options->json, err);
    return r < 0 ? r : end(&task, each(&task, call, remove_one), err);
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
    .run = run_rm,
};
