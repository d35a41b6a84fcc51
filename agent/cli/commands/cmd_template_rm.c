/* SPDX-License-Identifier: MIT */
/* "template rm" removes templates, also those that are being made. */
#include "agent/cli/client/task.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/commands/verb.h"

static int check_templates(const struct cli_chosen *chosen, struct pi_error *err)
{
    for (size_t i = 0; i < chosen->count; i++)
        if (!chosen->items[i].spec.template)
            return pi_refuse(err, PI_NOT_FOUND,
                             "%s is an instance, and no template: piagent rm %s removes it",
                             chosen->items[i].name, chosen->items[i].name);
    return 0;
}

static int run_template_rm(const struct cli_call *call, struct pi_error *err)
{
    static const struct cli_selection none = {0};
    pi_auto_task struct cli_task task = {.request = "kill"};
    int r = cli_task_begin(&task, call, &none, CLI_MACHINE, false, err);
    if (r == 0)
        r = check_templates(&task.chosen, err);
    return r < 0 ? r : cli_task_end(&task, cli_task_each(&task, cli_remove_by_force), err);
}

const struct cli_command cli_command_template_rm = {
    .name = "template rm",
    .operands = "NAME...",
    .summary = "removes templates; instances that were made of them go on",
    .example = "piagent template rm warm",
    .min_operands = 1,
    .max_operands = CLI_NAMES_MAX,
    .operand = CLI_TEMPLATE,
    .destructive = true,
    .run = run_template_rm,
};
