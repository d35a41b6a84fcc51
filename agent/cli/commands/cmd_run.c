/* SPDX-License-Identifier: MIT */
/* "run" makes an instance, or a fleet of equal ones, and follows it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/cli/client/chosen.h"
#include "agent/cli/client/foreground.h"
#include "agent/cli/client/wait.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/commands/run_as_job.h"
#include "agent/cli/commands/run_options.h"
#include "agent/cli/terminal/error_report.h"

static int make_one(struct cli_agent *agent, const json_t *body, struct cli_chosen *made,
                    struct pi_error *err)
{
    int r = cli_create_instance(agent, body, &made->items[made->count], err);
    made->count += r == 0;
    return r;
}

static void name_member(const char *fleet, unsigned index, char ret[PI_NAME_MAX + 16])
{
    snprintf(ret, PI_NAME_MAX + 16, "%.*s-%u", PI_NAME_MAX, fleet, index);
}

/* A fleet is made anew, as a whole. */
static int refuse_member(struct cli_agent *agent, const char *fleet, unsigned count, struct pi_error *err)
{
    const struct cli_selection all = {.all = true};
    pi_auto_chosen struct cli_chosen there = {0};
    char name[PI_NAME_MAX + 16];
    int r = cli_choose(agent, NULL, &all, CLI_MACHINE, &there, err);
    for (size_t i = 0; r == 0 && i < there.count; i++) {
        const struct api_instance *one = &there.items[i];
        bool clashes = !strcmp(one->spec.fleet.name, fleet);
        for (unsigned k = 1; !clashes && k <= count; k++) {
            name_member(fleet, k, name);
            clashes = !strcmp(one->name, name);
        }
        if (clashes)
            r = pi_refuse(
                err, PI_CONFLICT,
                "%s is there already: choose another name for the fleet, or remove it first with: piagent "
                "rm %s",
                one->name, one->name);
    }
    return r;
}

/* Makes NAME-1 to NAME-N. If one cannot be made, tells that, and makes the others all the same. Returns the exit code
 * of the first failure, or 0. */
static int make_fleet(struct cli_agent *agent, const struct cli_create *options, json_t *body,
                      struct cli_chosen *made)
{
    pi_auto_free char *fleet = strdup(json_string_value(json_object_get(body, "name")));
    int code = PI_OK;
    for (unsigned i = 1; fleet && i <= options->count; i++) {
        char name[PI_NAME_MAX + 16];
        struct pi_error err;
        name_member(fleet, i, name);
        json_object_set_new(body, "name", json_string(name));
        json_object_set_new(body, "fleet",
                            json_pack("{s:s, s:s, s:I, s:I}", "name", fleet, "role", fleet, "index",
                                      (json_int_t)i, "count", (json_int_t)options->count));
        int r = make_one(agent, body, made, &err);
        r = r == 0 ? PI_OK : options->json ? cli_report_json(&err) : cli_report(&err);
        code = code ? code : r;
    }
    return code;
}

/* The exit code, or negative with err filled. */
static int make_all(struct cli_agent *agent, const struct cli_create *options, const char *name, json_t *body,
                    struct cli_chosen *made, struct pi_error *err)
{
    char last[PI_NAME_MAX + 16];
    name_member(name, (unsigned)options->count, last);
    int r = options->count ? pi_name_check(last, err) : 0;
    if (r == 0)
        r = cli_connect(agent, err);
    if (r == 0 && options->count)
        r = refuse_member(agent, name, (unsigned)options->count, err);
    if (r == 0 && !(made->items = calloc(options->count + 1, sizeof *made->items)))
        r = pi_fail(err, ENOMEM, "run");
    cli_follow_hold_signals();
    if (r < 0)
        return r;
    return options->count ? make_fleet(agent, options, body, made) : make_one(agent, body, made, err);
}

static int run_run(const struct cli_call *call, struct pi_error *err)
{
    const struct cli_create *options = call->values;
    pi_auto_agent struct cli_agent agent = {0};
    pi_auto_chosen struct cli_chosen made = {0};
    json_auto_t *body = NULL;
    bool detach = options->detach || options->no_start || options->count;
    if (options->job)
        return cli_run_as_job(options, call->operands[0], err);
    if (options->grace_ms)
        return pi_refuse(err, PI_USAGE, "--grace goes with --job");
    int r = cli_refuse_attached(detach, options->json, options->timeout_ms, err);
    if (r == 0)
        r = cli_create_request(options, call->operands[0], &body, err);
    if (r == 0)
        r = make_all(&agent, options, call->operands[0], body, &made, err);
    if (r < 0 || !detach)
        return r < 0 ? r : cli_foreground(&agent, &made.items[0], true, err);
    const struct cli_wait how = {.stopped = options->no_start,
                                 .fresh = true,
                                 .login = true,
                                 .json = options->json,
                                 .timeout_ms = options->timeout_ms};
    int waited = cli_wait(&how, &agent, made.items, (unsigned)made.count, err);
    return waited < 0 || !r ? waited : r;
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
