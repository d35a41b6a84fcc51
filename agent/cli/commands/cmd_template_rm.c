/* SPDX-License-Identifier: MIT */
/* "template rm" removes templates, also those that are being made. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"
#include "agent/cli/client/instance_view.h"
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

static bool lists_name(const json_t *instances, const char *name)
{
    const json_t *one;
    size_t i;
    json_array_foreach(instances, i, one) {
        const char *listed = json_string_value(json_object_get(one, "name"));
        if (listed && !strcmp(listed, name))
            return true;
    }
    return false;
}

/* The agent's answer suggests any instance. */
static int refuse_unlisted(struct cli_agent *agent, const struct cli_call *call, struct pi_error *err)
{
    json_auto_t *reply = NULL;
    char suggestion[PI_SUGGESTION_SIZE];
    size_t i, count = 0;
    const json_t *one;
    int r = api_client_call(agent->client, "GET", "/v1/instances?summary=1", NULL, CLI_CALL_MS, &reply, err);
    const json_t *list = json_object_get(reply, "instances");
    pi_auto_free const char **names = r == 0 ? calloc(json_array_size(list) + 1, sizeof *names) : NULL;
    if (r < 0 || !names)
        return r < 0 ? r : pi_fail(err, ENOMEM, "template rm");
    json_array_foreach(list, i, one)
        if (cli_json_is_template(one))
            names[count++] = json_string_value(json_object_get(one, "name"));
    const char *absent = call->operands[0];
    for (unsigned k = 0; k < call->count && lists_name(list, absent); k++)
        absent = call->operands[k];
    return pi_refuse(err, PI_NOT_FOUND, "there is no template named %s: %s", absent,
                     pi_suggest(absent, names, "piagent template ls lists them", suggestion));
}

static int run_template_rm(const struct cli_call *call, struct pi_error *err)
{
    static const struct cli_selection none = {0};
    pi_auto_task struct cli_task task = {.request = "kill"};
    int r = cli_task_begin(&task, call, &none, CLI_MACHINE, false, err);
    if (r < 0 && err->kind == PI_NOT_FOUND)
        return refuse_unlisted(&task.agent, call, err);
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
