/* SPDX-License-Identifier: MIT */
/* "run" makes an instance and follows it; "start" starts one that is there and follows it in the same way. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/cli/commands.h"
#include "agent/cli/console.h"
#include "agent/cli/create.h"
#include "agent/cli/start.h"

#define FIRST_WORDS 65536 /* bytes that the firmware may have said before the console was attached */

struct foreground {
    struct cli_follow *follow;
    bool fresh;          /* made by this command: undone when it is interrupted before the start */
    unsigned interrupts; /* how often the machine was asked to stop */
    bool attached;       /* to the console, now or before */
    bool told_up;
    int exit_code;
};

/* Kept as the exit code. Who is attached has seen the console's words. */
static int tell_up(struct foreground *fg, struct pi_error *err)
{
    int r = cli_tell_up(fg->follow, false, !fg->attached, err);
    if (r == -EAGAIN)
        return 0;
    fg->told_up = true;
    if (r > 0)
        fg->exit_code = r;
    return r;
}

static int tell_end(struct foreground *fg, struct pi_error *err)
{
    int r = cli_tell_over(fg->follow, !fg->attached, err);
    return r < 0 ? r : fg->exit_code;
}

/* A foreground machine ends with its command, in order; the second signal doesn't wait for the guest. */
static int ask_to_stop(struct foreground *fg, struct pi_error *err)
{
    struct cli_follow *follow = fg->follow;
    const char *request = fg->interrupts++ ? "kill" : "powerdown";
    pi_auto_instance struct api_instance now = {0};
    follow->signal = 0;
    int r = cli_follow_look(follow, &now, err);
    if (r == 0)
        r = cli_call(follow->agent, "POST", follow->view.name, request, NULL, NULL, err);
    if (r == 0 && fg->interrupts == 1)
        cli_screen_line(&follow->screen, "%s: powering down; interrupt again to kill it", follow->view.name);
    /* It may have ended meanwhile: its events tell. */
    return r < 0 && err->kind == PI_CONFLICT ? 0 : r;
}

static int leave_running(struct foreground *fg)
{
    const char *name = fg->follow->view.name;
    cli_screen_line(&fg->follow->screen,
                    "%s goes on; look with: piagent status %s, stop it with: piagent powerdown %s", name,
                    name, name);
    return CLI_EXIT_SIGNAL + fg->follow->signal;
}

/* 0 = go on, positive = the exit code, negative = err. A closed terminal (SIGHUP) never stops a machine. */
static int on_signal(struct foreground *fg, struct pi_error *err)
{
    int r = fg->fresh && cli_state_is_before_boot(fg->follow->view.state) ? cli_undo(fg->follow, err) : 0;
    if (r != 0)
        return r;
    if (fg->follow->signal == SIGHUP)
        return leave_running(fg);
    return ask_to_stop(fg, err);
}

static int attach(struct foreground *fg, bool *ret_detached, struct pi_error *err)
{
    enum cli_console_end end;
    /* What a machine that is started again said in earlier boots is not shown. */
    int r = cli_console_attach(fg->follow, fg->fresh ? FIRST_WORDS : 0, false, &end, err);
    if (r == 0 && end == CLI_CONSOLE_DETACHED) {
        cli_console_tell_left(fg->follow);
        *ret_detached = true;
    }
    if (r == 0 && end == CLI_CONSOLE_OVER && !strcmp(fg->follow->view.state, "stopped"))
        cli_console_tell_over(fg->follow);
    return r;
}

static bool has_console(const struct cli_view *view)
{
    return !strcmp(view->state, "running") || !strcmp(view->state, "ready");
}

static int loop(struct foreground *fg, struct pi_error *err)
{
    struct cli_follow *follow = fg->follow;
    bool wants_console = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO), detached = false;
    int r = 0;
    while (!cli_view_is_over(&follow->view) && !detached) {
        if ((r = cli_follow_step(follow, NULL, 0, err)) < 0)
            return r;
        if (follow->signal && (r = on_signal(fg, err)) != 0)
            return r;
        if (wants_console && has_console(&follow->view)) {
            wants_console = false;
            fg->attached = true;
            if ((r = attach(fg, &detached, err)) < 0)
                return r;
        }
        if (cli_view_is_up(&follow->view) && !fg->told_up && (r = tell_up(fg, err)) < 0)
            return r;
    }
    return cli_view_is_over(&follow->view) ? tell_end(fg, err) : fg->exit_code;
}

/* instance is as the agent answered the request that started it. */
static int follow_start(struct cli_agent *agent, const struct api_instance *instance, bool fresh,
                        struct pi_error *err)
{
    pi_auto_follow struct cli_follow follow = {0};
    int r = cli_follow_open(&follow, agent, instance, err);
    struct foreground fg = {.follow = &follow, .fresh = fresh};
    return r < 0 ? r : loop(&fg, err);
}

static int refuse_attached(bool detach, bool json, uint64_t timeout_ms, struct pi_error *err)
{
    if (detach || !(json || timeout_ms))
        return 0;
    return pi_refuse(err, PI_USAGE, "%s goes with -d, which waits until the guest is ready",
                     json ? "--json" : "--timeout");
}

static int run_run(const struct cli_call *call, struct pi_error *err)
{
    const struct cli_create *options = call->values;
    pi_auto_agent struct cli_agent agent = {0};
    pi_auto_instance struct api_instance instance = {0};
    struct api_create request = {0};
    json_auto_t *reply = NULL;
    int r = refuse_attached(options->detach, options->json, options->timeout_ms, err);
    if (r == 0)
        r = cli_create_request(options, call->operands[0], &request, err);
    json_auto_t *body = r == 0 ? api_write(create, &request) : NULL;
    api_done(create, &request);
    if (r == 0 && !body)
        r = pi_fail(err, ENOMEM, "run");
    if (r == 0)
        r = cli_connect(&agent, err);
    cli_follow_hold_signals();
    if (r == 0)
        r = api_client_call(agent.client, "POST", "/v1/instances", body, CLI_CALL_MS, &reply, err);
    if (r == 0 && (r = api_read(instance, reply, &instance, err)) < 0)
        pi_context(err, r, "the agent's answer");
    instance.last_event = 0;
    if (r < 0 || !options->detach)
        return r < 0 ? r : follow_start(&agent, &instance, true, err);
    const struct cli_wait how = {
        .fresh = true, .login = true, .json = options->json, .timeout_ms = options->timeout_ms};
    return cli_wait(&how, &agent, &instance, 1, err);
}

struct start_options {
    bool all, detach, json;
    uint64_t timeout_ms;
};

static int start_one(struct cli_agent *agent, struct api_instance *instance, struct pi_error *err)
{
    json_auto_t *reply = NULL;
    int r = cli_call(agent, "POST", instance->name, "start", NULL, &reply, err);
    if (r < 0)
        return r;
    api_done(instance, instance);
    r = api_read(instance, reply, instance, err);
    return r < 0 ? pi_context(err, r, "the agent's answer") : 0;
}

/* One that cannot be started keeps the others from nothing. */
int cli_start_all(struct cli_agent *agent, struct cli_chosen *chosen, const struct cli_wait *how,
                  struct pi_error *err)
{
    unsigned started = 0;
    int code = PI_OK, r;
    for (size_t i = 0; i < chosen->count; i++) {
        struct api_instance *instance = &chosen->items[i], other;
        if (!instance->name)
            continue;
        r = start_one(agent, instance, err);
        if (r < 0 && chosen->count == 1)
            return r;
        r = r >= 0 ? PI_OK : how->json ? cli_report_json(err) : cli_report(err);
        code = code ? code : r;
        if (r != PI_OK)
            continue;
        if (instance->already && !how->json)
            fprintf(stderr, "%s is %s already\n", instance->name, instance->state);
        other = chosen->items[started];
        chosen->items[started++] = *instance;
        *instance = other;
    }
    r = started ? cli_wait(how, agent, chosen->items, started, err) : PI_OK;
    return r < 0 || !code ? r : code;
}

/* The one that a terminal, or a unit, is for. What somebody else has started goes on without this command. */
static int start_attached(struct cli_agent *agent, struct api_instance *instance, struct pi_error *err)
{
    int r = start_one(agent, instance, err);
    if (r < 0 || !instance->already)
        return r < 0 ? r : follow_start(agent, instance, false, err);
    fprintf(stderr, "%s is %s already: piagent console %s attaches to its console\n", instance->name,
            instance->state, instance->name);
    return PI_OK;
}

static int start_chosen(struct cli_agent *agent, const struct start_options *options,
                        struct cli_chosen *chosen, struct pi_error *err)
{
    const struct cli_wait how = {.login = true, .json = options->json, .timeout_ms = options->timeout_ms};
    if (!chosen->count && !options->json)
        fprintf(stderr, "nothing is stopped\n");
    if (chosen->count > CLI_WAIT_MAX)
        return pi_refuse(err, PI_USAGE,
                         "%zu instances are stopped, and %d at most are started at once: name them",
                         chosen->count, CLI_WAIT_MAX);
    return options->detach ? cli_start_all(agent, chosen, &how, err)
                           : start_attached(agent, &chosen->items[0], err);
}

static int run_start(const struct cli_call *call, struct pi_error *err)
{
    const struct start_options *options = call->values;
    pi_auto_agent struct cli_agent agent = {0};
    pi_auto_chosen struct cli_chosen chosen = {0};
    if ((options->all || call->count > 1) && !options->detach)
        return pi_refuse(err, PI_USAGE,
                         "several instances can only be started with -d: there is one terminal");
    int r = refuse_attached(options->detach, options->json, options->timeout_ms, err);
    if (r == 0)
        r = cli_connect(&agent, err);
    if (r == 0)
        r = options->all ? cli_choose_all(&agent, cli_state_is_over, &chosen, err)
                         : cli_choose_named(&agent, call, &chosen, err);
    return r < 0 ? r : start_chosen(&agent, options, &chosen, err);
}

static const struct cli_option start_table[] = {
    {.name = "all",
     .type = CLI_FLAG,
     .names = true,
     .help = "all that do not run, instead of NAME...; with -d",
     .offset = offsetof(struct start_options, all)},
    {.name = "detach",
     .letter = 'd',
     .type = CLI_FLAG,
     .help = "return when the guest is ready",
     .offset = offsetof(struct start_options, detach)},
    {.name = "timeout",
     .type = CLI_LIMIT,
     .argument = "TIME",
     .help = "with -d: " CLI_WAIT_LIMIT_HELP,
     .offset = offsetof(struct start_options, timeout_ms)},
    {.name = "json",
     .type = CLI_FLAG,
     .help = "with -d: the events as JSON lines",
     .offset = offsetof(struct start_options, json)},
    {0},
};

#define FOREGROUND                                                                                        \
    "In a terminal the guest's serial console is attached; Ctrl-] leaves it, and the machine runs on.\n"  \
    "The prompt there takes a password, which there is only if you gave one: piagent ssh needs none.\n"   \
    "Elsewhere the command shows progress until the machine has stopped; an interrupt (or SIGTERM)\n"     \
    "powers it down in order, a second one kills it. The exit code is 8 where cloud-init failed or, in\n" \
    "a first boot, did not report, or the guest's kernel panicked."

const struct cli_command cli_command_run = {
    .name = "run",
    .operands = "NAME",
    .summary = "makes a machine and boots it",
    .details = FOREGROUND,
    .example = "piagent run pi-2 --arch aarch64 --memory 1G --ssh-key ~/.ssh/id_ed25519.pub -d",
    .options = cli_create_options,
    .values_size = sizeof(struct cli_create),
    .min_operands = 1,
    .max_operands = 1,
    .operand = CLI_TEXT,
    .run = run_run,
};

const struct cli_command cli_command_start = {
    .name = "start",
    .operands = "NAME...",
    .summary = "boots a machine that is stopped",
    .details = FOREGROUND,
    .example = "piagent start -d pi-1",
    .options = start_table,
    .values_size = sizeof(struct start_options),
    .min_operands = 1,
    .max_operands = CLI_WAIT_MAX,
    .operand = CLI_MACHINE_OVER,
    .run = run_start,
};
