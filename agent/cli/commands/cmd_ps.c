/* SPDX-License-Identifier: MIT */
/* "ps" lists instances. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/cli/client/chosen.h"
#include "agent/cli/client/instance_view.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/terminal/host_hint.h"
#include "agent/cli/terminal/table.h"

struct ps_options {
    struct cli_selection which; /* .all: also those that do not run */
    bool labels, json, quiet;
};

/* A saved one holds what its guest was doing, and is shown. */
static bool has_ended(const json_t *instance)
{
    return vm_state_has_ended(cli_json_state(instance));
}

static bool is_named(const struct cli_call *call, const json_t *instance)
{
    for (unsigned i = 0; i < call->count; i++)
        if (!strcmp(call->operands[i], cli_json_text(instance, "name")))
            return true;
    return false;
}

static bool is_taken(const struct cli_selection *selection, const json_t *object)
{
    pi_auto_instance struct api_instance instance = {0};
    return api_read(summary, object, &instance, NULL) == 0 && cli_selection_takes(selection, &instance);
}

/* The instances to show: the named ones and those of a fleet or label, even if they do not run. */
static json_t *chosen(const json_t *reply, const struct cli_call *call)
{
    const struct ps_options *options = call->values;
    bool part = cli_selection_is_part(&options->which);
    json_t *list = json_array(), *instance;
    size_t i;
    json_array_foreach(json_object_get(reply, "instances"), i, instance)
        if (call->count                      ? is_named(call, instance)
            : cli_json_is_template(instance) ? false
            : part                           ? is_taken(&options->which, instance)
                                             : options->which.all || !has_ended(instance))
            json_array_append(list, instance);
    return list;
}

static int join_labels(const struct pi_strv *labels, struct pi_buf *ret)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < labels->count; i++)
        r = pi_buf_printf(ret, "%s%s", i ? "," : "", labels->items[i]);
    return r;
}

static int add_instance(struct libscols_table *table, const json_t *object, struct pi_error *err)
{
    pi_auto_buf struct pi_buf labels = {0};
    pi_auto_instance struct api_instance instance = {0};
    int r = api_read(summary, object, &instance, err);
    if (r < 0)
        return pi_context(err, r, "the agent's answer");
    char state[40], cpus[24], memory[32], used[32], up[32], ssh[24];
    bool over = cli_state_is_over(instance.state);
    snprintf(state, sizeof state, "%s%s", api_state_word(&instance),
             instance.spec.ephemeral ? " (ephemeral)" : "");
    snprintf(cpus, sizeof cpus, "%" PRIu64, instance.spec.cpus);
    snprintf(ssh, sizeof ssh, "%" PRIu64, instance.spec.ssh_port);
    if (join_labels(&instance.spec.labels, &labels) < 0)
        return pi_fail(err, ENOMEM, "ps");
    const char *const cells[] = {
        instance.name,
        state,
        PI_WORD(&instance, arch, vm_arch),
        instance.accel ? PI_WORD(&instance, accel, vm_accel) : NULL,
        cpus,
        pi_size_format(instance.spec.memory_mib << 20, memory),
        instance.host_memory_bytes ? pi_size_format(instance.host_memory_bytes, used) : NULL,
        instance.spec.ssh_port ? ssh : NULL,
        over ? NULL : cli_age(instance.started_ms, up),
        instance.image,
        instance.spec.fleet.name[0] ? instance.spec.fleet.name : NULL,
        labels.data,
    };
    r = cli_table_add(table, cells, cli_state_colour(instance.state));
    return r < 0 ? pi_fail(err, -r, "ps") : 0;
}

/* FLEET and LABELS are shown if they are asked for. */
static int print_table(const json_t *list, bool with_labels, struct pi_error *err)
{
    const struct cli_column columns[] = {
        {"NAME", CLI_LEFT},
        {"STATE", CLI_LEFT},
        {"ARCH", CLI_LEFT},
        {"ACCEL", CLI_LEFT},
        {"CPUS", CLI_RIGHT},
        {"MEMORY", CLI_RIGHT},
        {"USED", CLI_RIGHT},
        {"SSH", CLI_RIGHT},
        {"UP", CLI_RIGHT},
        {"IMAGE", CLI_SHORTENS},
        {with_labels ? "FLEET" : NULL, CLI_LEFT},
        {"LABELS", CLI_LEFT},
        {0},
    };
    pi_auto_table struct libscols_table *table = cli_table_new(columns, false);
    json_t *instance;
    size_t i;
    int r = 0;
    if (!table)
        return pi_fail(err, ENOMEM, "ps");
    json_array_foreach(list, i, instance)
        if ((r = add_instance(table, instance, err)) < 0)
            return r;
    return cli_table_print(table, err);
}

/* Below the table: the reasons of instances that run. */
static void print_reasons(const json_t *list)
{
    const json_t *instance;
    size_t i;
    json_array_foreach(list, i, instance) {
        const char *reason = cli_json_text(instance, "reason");
        char clean[512];
        pi_auto_buf struct pi_buf hint = {0};
        pi_text_clean(reason, strlen(reason), clean, sizeof clean);
        if (*reason && !has_ended(instance))
            printf("%s: %s\n", cli_json_text(instance, "name"),
                   cli_host_hint(clean, cli_host_chosen(), &hint));
    }
}

static int print_names(const json_t *list)
{
    const json_t *instance;
    size_t i;
    json_array_foreach(list, i, instance)
        puts(cli_json_text(instance, "name"));
    return PI_OK;
}

static int print_list(const json_t *list, const struct ps_options *options, struct pi_error *err)
{
    if (options->json) {
        json_auto_t *shown = json_pack("{sO}", "instances", list);
        return shown ? cli_json_print(shown, err) : pi_fail(err, ENOMEM, "ps");
    }
    if (options->quiet)
        return print_names(list);
    int r = print_table(list, options->labels, err);
    print_reasons(list);
    return r;
}

static void tell_nothing_taken(const struct cli_selection *selection, const json_t *all)
{
    pi_auto_free const char **fleets = calloc(json_array_size(all) + 1, sizeof *fleets);
    struct pi_error why;
    const json_t *instance;
    size_t i, count = 0;
    json_array_foreach(all, i, instance) {
        const json_t *fleet = json_object_get(instance, "fleet");
        if (fleets && fleet)
            fleets[count++] = cli_json_text(fleet, "name");
    }
    if (fleets && cli_selection_refuse(selection, fleets, &why) < 0)
        cli_note("%s", why.text);
}

static size_t count_templates(const json_t *all)
{
    const json_t *instance;
    size_t i, count = 0;
    json_array_foreach(all, i, instance)
        count += cli_json_is_template(instance);
    return count;
}

/* Tells on standard error which instances the list does not show. */
static void tell_hidden(const struct cli_call *call, const json_t *all, size_t shown, const char *place)
{
    size_t templates = call->count ? 0 : count_templates(all),
           hidden = json_array_size(all) - shown - templates;
    const struct ps_options *options = call->values;
    bool part = cli_selection_is_part(&options->which);
    if (part && !shown)
        tell_nothing_taken(&options->which, all);
    else if (!shown && hidden)
        cli_note("nothing runs; %zu stopped: piagent ps -a", hidden);
    else if (!shown)
        cli_note("there is no instance in %s yet: piagent run NAME makes one", place);
    else if (hidden && !call->count && !part)
        cli_note("%zu more %s not run: piagent ps -a", hidden, hidden == 1 ? "does" : "do");
    if (templates && options->which.all)
        cli_note("%zu template%s not shown: piagent template ls", templates,
                 templates == 1 ? " is" : "s are");
}

static int run_ps(const struct cli_call *call, struct pi_error *err)
{
    static const struct cli_selection none = {0};
    const struct ps_options *options = call->values;
    pi_auto_agent struct cli_agent agent = {0};
    pi_auto_chosen struct cli_chosen named = {0};
    json_auto_t *reply = NULL;
    int r = cli_connect(&agent, err);
    if (r == 0) /* a name that is wrong is refused; that nothing has a label is an answer */
        r = cli_selection_check(&options->which, err);
    if (r == 0 && call->count)
        r = cli_choose(&agent, call, &none, CLI_MACHINE, &named, err);
    if (r == 0)
        r = api_client_call(agent.client, "GET", options->json ? "/v1/instances" : "/v1/instances?summary=1",
                            NULL, CLI_CALL_MS, &reply, err);
    if (r < 0)
        return r;
    json_auto_t *list = chosen(reply, call);
    size_t shown = json_array_size(list);
    if (options->json || options->quiet)
        return print_list(list, options, err);
    if (shown && (r = print_list(list, options, err)) < 0)
        return r;
    tell_hidden(call, json_object_get(reply, "instances"), shown,
                agent.host.url ? agent.host.url : agent.paths.instances);
    return PI_OK;
}

static const struct cli_option ps_table[] = {
    {.name = "all",
     .letter = 'a',
     CLI_MEMBER(CLI_FLAG, ps_options, which.all),
     .help = "also those that do not run, and are not saved"},
    CLI_PART_OPTIONS(ps_options),
    {.name = "labels",
     CLI_MEMBER(CLI_FLAG, ps_options, labels),
     .help = "also the fleet and the labels of each"},
    {.name = "quiet",
     .letter = 'q',
     CLI_MEMBER(CLI_FLAG, ps_options, quiet),
     .help = "only the names, one a line"},
    {.name = "json", CLI_MEMBER(CLI_FLAG, ps_options, json), .help = "as the agent's JSON"},
    {0},
};
const struct cli_command cli_command_ps = {
    .name = "ps",
    .operands = "[NAME...]",
    .summary = "lists the instances that run or are saved, or those chosen",
    .example = "piagent ps -a",
    .options = ps_table,
    .values_size = sizeof(struct ps_options),
    .max_operands = 64,
    .operand = CLI_MACHINE,
    .run = run_ps,
};
