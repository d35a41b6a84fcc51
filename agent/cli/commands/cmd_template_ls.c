/* SPDX-License-Identifier: MIT */
/* "template ls" lists the templates. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "agent/base/auto.h"
#include "agent/cli/client/connect.h"
#include "agent/cli/client/instance_view.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/terminal/table.h"

struct template_ls_options {
    bool json;
};

static json_t *templates_of(const json_t *reply)
{
    json_t *list = json_array(), *instance;
    size_t i;
    json_array_foreach(json_object_get(reply, "instances"), i, instance)
        if (cli_json_is_template(instance))
            json_array_append(list, instance);
    return list;
}

static const char *state_of(enum vm_state state)
{
    return state == VM_SAVED ? "ready" : cli_state_is_over(state) ? "broken" : "being made";
}

static int add_template(struct libscols_table *table, const json_t *object, struct pi_error *err)
{
    pi_auto_instance struct api_instance instance = {0};
    char cpus[24], memory[32], saved[32], age[32];
    int r = api_read(instance, object, &instance, err);
    if (r < 0)
        return pi_context(err, r, "the agent's answer");
    snprintf(cpus, sizeof cpus, "%" PRIu64, instance.spec.cpus);
    const char *const cells[] = {
        instance.name,
        state_of(instance.state),
        PI_WORD(&instance, arch, vm_arch),
        cpus,
        pi_size_format(instance.spec.memory_mib << 20, memory),
        instance.saved_bytes ? pi_size_format(instance.saved_bytes, saved) : NULL,
        cli_age(instance.state == VM_SAVED ? instance.stopped_ms : instance.created_ms, age),
        instance.image,
    };
    r = cli_table_add(table, cells, cli_state_colour(instance.state == VM_SAVED ? VM_READY : instance.state));
    return r < 0 ? pi_fail(err, -r, "template ls") : 0;
}

static int print_templates(const json_t *list, struct pi_error *err)
{
    static const struct cli_column columns[] = {
        {"NAME", CLI_LEFT},  {"STATE", CLI_LEFT},     {"ARCH", CLI_LEFT},
        {"CPUS", CLI_RIGHT}, {"MEMORY", CLI_RIGHT},   {"SAVED", CLI_RIGHT},
        {"AGE", CLI_RIGHT},  {"IMAGE", CLI_SHORTENS}, {0},
    };
    pi_auto_table struct libscols_table *table = cli_table_new(columns, false);
    const json_t *instance;
    size_t i;
    int r = table ? 0 : pi_fail(err, ENOMEM, "template ls");
    json_array_foreach(list, i, instance)
        if (r == 0)
            r = add_template(table, instance, err);
    return r < 0 ? r : cli_table_print(table, err);
}

static int run_template_ls(const struct cli_call *call, struct pi_error *err)
{
    const struct template_ls_options *options = call->values;
    pi_auto_agent struct cli_agent agent = {0};
    json_auto_t *reply = NULL;
    int r = cli_connect(&agent, err);
    if (r == 0)
        r = api_client_call(agent.client, "GET", "/v1/instances", NULL, CLI_CALL_MS, &reply, err);
    if (r < 0)
        return r;
    json_auto_t *list = templates_of(reply);
    json_auto_t *shown = options->json ? json_pack("{sO}", "templates", list) : NULL;
    if (options->json)
        return shown ? cli_json_print(shown, err) : pi_fail(err, ENOMEM, "template ls");
    if (json_array_size(list))
        return print_templates(list, err);
    cli_note("there is no template yet: piagent template create NAME makes one");
    return PI_OK;
}

static const struct cli_option template_ls_table[] = {
    {.name = "json", CLI_MEMBER(CLI_FLAG, template_ls_options, json), .help = "as the agent's JSON"},
    {0},
};

const struct cli_command cli_command_template_ls = {
    .name = "template ls",
    .summary = "lists the templates that instances can resume from",
    .example = "piagent template ls",
    .options = template_ls_table,
    .values_size = sizeof(struct template_ls_options),
    .run = run_template_ls,
};
