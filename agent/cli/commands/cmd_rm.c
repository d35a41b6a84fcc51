/* SPDX-License-Identifier: MIT */
/* "rm" removes instances with all their files. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "agent/base/auto.h"
#include "agent/cli/client/task.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/commands/verb.h"

#define KEPT_NAMED 2 /* so many of those that keep the command from removing anything are named */

struct rm_options {
    struct cli_selection which;
    bool json, force;
};

static int remove_instance(struct cli_task *task, struct api_instance *instance, struct pi_error *err)
{
    int r = cli_call(&task->agent, "DELETE", instance->name, NULL, NULL, NULL, err);
    if (r == 0 && instance->snapshots && !task->results)
        fprintf(stderr, "%s: removed with %" PRIu64 " snapshot%s\n", instance->name, instance->snapshots,
                instance->snapshots == 1 ? "" : "s");
    return r;
}

int cli_remove_by_force(struct cli_task *task, struct api_instance *instance, struct pi_error *err)
{
    int r = remove_instance(task, instance, err);
    if (r == 0 || err->kind != PI_CONFLICT)
        return r;
    if ((r = cli_task_post(task, instance, err)) == 0)
        r = cli_task_await_stop(task, instance, err);
    if (r == 0)
        r = remove_instance(task, instance, err);
    return r < 0 && err->kind == PI_NOT_FOUND && instance->spec.ephemeral ? 0 : r;
}

/* For a selection: --all keeps what runs, and what is saved with what its guest was doing. Tells what happened to each. */
static int remove_if_over(struct cli_task *task, struct api_instance *instance, struct pi_error *err)
{
    bool over = vm_state_has_ended(instance->state);
    int r = over ? remove_instance(task, instance, err) : 0;
    if (r < 0)
        return r;
    if (task->results)
        json_object_set_new(cli_task_result(task, instance), "removed", json_boolean(over));
    else if (over && !instance->snapshots)
        fprintf(stderr, "%s: removed\n", instance->name);
    else if (!over)
        fprintf(stderr, "%s: kept, it is %s\n", instance->name, api_state_word(instance));
    return 0;
}

/* Nothing is removed if one of them has to be kept. By its name, one that is saved, or is being made, is removed too. */
static int refuse_kept(const struct cli_chosen *chosen, bool part, struct pi_error *err)
{
    pi_auto_buf struct pi_buf kept = {0};
    bool runs = false;
    size_t count = 0;
    int r = 0;
    for (size_t i = 0; r == 0 && i < chosen->count; i++) {
        const struct api_instance *instance = &chosen->items[i];
        if (part ? vm_state_has_ended(instance->state) : !vm_state_is_live(instance->state))
            continue;
        runs = runs || vm_state_is_live(instance->state);
        if (++count <= KEPT_NAMED)
            r = pi_buf_printf(&kept, "%s%s is %s", count > 1 ? ", " : "", instance->name,
                              api_state_word(instance));
    }
    if (r == 0 && count > KEPT_NAMED)
        r = pi_buf_printf(&kept, ", and %zu more", count - KEPT_NAMED);
    if (r < 0)
        return pi_fail(err, ENOMEM, "rm");
    return !count ? 0
                  : pi_refuse(err, PI_CONFLICT,
                              "nothing was removed, because %s: %spiagent rm --force removes all of them",
                              kept.data, runs ? "piagent powerdown first, or " : "");
}

static int run_rm(const struct cli_call *call, struct pi_error *err)
{
    const struct rm_options *options = call->values;
    pi_auto_task struct cli_task task = {.request = "kill"};
    bool part = cli_selection_is_part(&options->which);
    if (options->which.all && !part && options->force)
        return pi_refuse(
            err, PI_USAGE,
            "rm --all removes the instances that do not run, and --force would end the others: powerdown --all "
            "first");
    int r = cli_task_begin(&task, call, &options->which, CLI_MACHINE, options->json, err);
    if (r == 0 && !options->force && !options->which.all && call->count != 1)
        r = refuse_kept(&task.chosen, part, err);
    cli_act_fn *act = options->force ? cli_remove_by_force : call->count ? remove_instance : remove_if_over;
    return r < 0 ? r : cli_task_end(&task, cli_task_each(&task, act), err);
}

static const struct cli_option rm_table[] = {
    CLI_SELECTION_OPTIONS(rm_options, 'a', "all that do not run, instead of NAME...; tells each"),
    {.name = "force",
     .letter = 'f',
     CLI_MEMBER(CLI_FLAG, rm_options, force),
     .help = "kill it first if it runs"},
    CLI_RESULTS_OPTION(rm_options),
    {0},
};

const struct cli_command cli_command_rm = {
    .name = "rm",
    .operands = "NAME...",
    .summary = "removes stopped instances with all their files, snapshots among them",
    .details =
        "Removes none if one of them runs; of a fleet or label also if one is saved. --all keeps those, and --force kills\n"
        "and removes them.",
    .example = "piagent rm --force pi-1",
    .options = rm_table,
    .values_size = sizeof(struct rm_options),
    .min_operands = 1,
    .max_operands = CLI_NAMES_MAX,
    .operand = CLI_MACHINE_OVER,
    .destructive = true,
    .run = run_rm,
};
