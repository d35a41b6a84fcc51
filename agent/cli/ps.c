/* SPDX-License-Identifier: MIT */
/* "ps" lists machines, "status" tells all about one. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/cli/chosen.h"
#include "agent/cli/commands.h"
#include "agent/cli/table.h"
#include "agent/cli/view.h"

struct ps_options {
    bool all, json, quiet;
};

static bool is_over(const json_t *instance)
{
    return cli_state_is_over(cli_json_text(instance, "state"));
}

static bool is_named(const struct cli_call *call, const json_t *instance)
{
    for (unsigned i = 0; i < call->count; i++)
        if (!strcmp(call->operands[i], cli_json_text(instance, "name")))
            return true;
    return false;
}

/* Those to be shown, in a list of their own: those named, also if they do not run. */
static json_t *chosen(const json_t *reply, const struct cli_call *call)
{
    const struct ps_options *options = call->values;
    json_t *list = json_array(), *instance;
    size_t i;
    json_array_foreach(json_object_get(reply, "instances"), i, instance)
        if (call->count ? is_named(call, instance) : options->all || !is_over(instance))
            json_array_append(list, instance);
    return list;
}

static char *age(uint64_t since_ms, char buf[32])
{
    uint64_t now = pi_realtime_ms();
    return since_ms && now > since_ms ? pi_duration_format(now - since_ms, buf) : NULL;
}

static int add_instance(struct libscols_table *table, const json_t *object, struct pi_error *err)
{
    pi_auto_instance struct api_instance instance = {0};
    int r = api_read(summary, object, &instance, err);
    if (r < 0)
        return pi_context(err, r, "the agent's answer");
    char cpus[24], memory[32], up[32], ssh[24];
    bool over = cli_state_is_over(instance.state);
    snprintf(cpus, sizeof cpus, "%" PRIu64, instance.cpus);
    snprintf(ssh, sizeof ssh, "%" PRIu64, instance.ssh_port);
    const char *const cells[] = {
        instance.name,
        instance.state,
        instance.arch,
        instance.accel,
        cpus,
        pi_size_format(instance.memory_mib << 20, memory),
        instance.ssh_port ? ssh : NULL,
        over ? NULL : age(instance.started_ms, up),
        instance.image,
    };
    r = cli_table_add(table, cells, instance.state);
    return r < 0 ? pi_fail(err, -r, "ps") : 0;
}

static int print_table(const json_t *list, struct pi_error *err)
{
    static const struct cli_column columns[] = {
        {"NAME", CLI_LEFT},      {"STATE", CLI_LEFT},
        {"ARCH", CLI_LEFT},      {"ACCEL", CLI_LEFT},
        {"CPUS", CLI_RIGHT},     {"MEMORY", CLI_RIGHT},
        {"SSH", CLI_RIGHT},      {"UP", CLI_RIGHT},
        {"IMAGE", CLI_SHORTENS}, {0},
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

/* What is wrong with machines that run, below the table. */
static void print_reasons(const json_t *list)
{
    const json_t *instance;
    size_t i;
    json_array_foreach(list, i, instance) {
        const char *reason = cli_json_text(instance, "reason");
        char clean[512];
        if (*reason && !is_over(instance))
            printf("%s: %s\n", cli_json_text(instance, "name"),
                   pi_text_clean(reason, strlen(reason), clean, sizeof clean));
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
    int r = print_table(list, err);
    print_reasons(list);
    return r;
}

static int run_ps(const struct cli_call *call, struct pi_error *err)
{
    const struct ps_options *options = call->values;
    pi_auto_agent struct cli_agent agent = {0};
    pi_auto_chosen struct cli_chosen named = {0};
    json_auto_t *reply = NULL;
    int r = cli_connect(&agent, err);
    if (r == 0) /* a name that is wrong is refused */
        r = cli_choose_named(&agent, call, &named, err);
    if (r == 0)
        r = api_client_call(agent.client, "GET", options->json ? "/v1/instances" : "/v1/instances?summary=1",
                            NULL, CLI_CALL_MS, &reply, err);
    if (r < 0)
        return r;
    json_auto_t *list = chosen(reply, call);
    size_t hidden = json_array_size(json_object_get(reply, "instances")) - json_array_size(list);
    if (options->json || options->quiet || json_array_size(list))
        return print_list(list, options, err);
    if (hidden)
        fprintf(stderr, "nothing runs; %zu stopped: piagent ps -a\n", hidden);
    else
        fprintf(stderr, "there is no instance in %s yet: piagent run NAME makes one\n",
                agent.paths.instances);
    return 0;
}

static int row(struct libscols_table *table, const char *head, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int row(struct libscols_table *table, const char *head, const char *format, ...)
{
    pi_auto_free char *text = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    return n < 0 ? -ENOMEM : cli_table_add(table, (const char *const[]){head, text}, NULL);
}

static int row_list(struct libscols_table *table, const char *head, const struct pi_strv *items)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < items->count; i++)
        r = row(table, i ? "" : head, "%s", items->items[i]);
    return r;
}

static int row_time(struct libscols_table *table, const char *head, uint64_t at_ms)
{
    char when[64], ago[32];
    time_t at = (time_t)(at_ms / 1000);
    struct tm local;
    if (!at_ms || !localtime_r(&at, &local))
        return 0;
    strftime(when, sizeof when, "%F %T", &local);
    const char *text = age(at_ms, ago);
    return row(table, head, "%s (%s ago)", when, text ? text : "0s");
}

static int row_state(struct libscols_table *table, const struct api_instance *instance)
{
    const char *reason = instance->reason ? instance->reason : "";
    int r = cli_table_add(table, (const char *const[]){"state", instance->state}, instance->state);
    if (r == 0 && reason[0])
        r = row(table, "reason", "%s", reason);
    if (r == 0 && instance->begun_again)
        r = row(table, "boot", "begun again: a race in QEMU's emulation of several processors had killed it");
    if (r == 0 && instance->stopped_by && cli_state_is_over(instance->state))
        r = row(table, "ended by", "%s", instance->stopped_by);
    return r;
}

static int row_cloud_init(struct libscols_table *table, const struct api_instance *instance)
{
    char took[32] = "";
    const char *stage = instance->cloud_init_stage ? instance->cloud_init_stage : "";
    if (!instance->cloud_init)
        return 0;
    if (instance->boot_ms && instance->ready_ms > instance->boot_ms)
        pi_duration_format(instance->ready_ms - instance->boot_ms, took);
    int r = row(table, "cloud-init", "%s%s%s%s%s", instance->cloud_init, stage[0] ? ", " : "", stage,
                took[0] ? ", after " : "", took);
    if (r == 0)
        r = row_list(table, "failed", &instance->failed_modules);
    return r < 0 ? r : row_list(table, "user-data", &instance->user_data_problems);
}

static int row_machine(struct libscols_table *table, const struct api_instance *instance)
{
    char memory[32], disk[32];
    int r = row(table, "image", "%s%s", instance->image ? instance->image : "-",
                instance->image_verified ? "" : " (unverified)");
    return r < 0 ? r
                 : row(table, "machine", "%s%s%s, %" PRIu64 " CPUs, %s memory, %s disk",
                       instance->arch ? instance->arch : "-", instance->accel ? " under " : "",
                       instance->accel ? instance->accel : "", instance->cpus,
                       pi_size_format(instance->memory_mib << 20, memory),
                       pi_size_format(instance->disk_bytes, disk));
}

static int row_limits(struct libscols_table *table, const struct api_instance *instance)
{
    char memory[32];
    int r = 0;
    if (instance->memory_max_mib)
        r = row(table, "memory-max", "%s", pi_size_format(instance->memory_max_mib << 20, memory));
    if (r == 0 && instance->cpu_quota_percent)
        r = row(table, "cpu-quota", "%" PRIu64 "%%", instance->cpu_quota_percent);
    return r;
}

static int row_reach(struct libscols_table *table, const struct api_instance *instance)
{
    int r = 0;
    if (instance->user && instance->ssh_port)
        r = row(table, "ssh", "%s@127.0.0.1 port %" PRIu64, instance->user, instance->ssh_port);
    if (r == 0)
        r = row_list(table, "forwards", &instance->forwards);
    if (r == 0 && instance->isolate)
        r = row(table, "network", "isolated");
    if (r == 0 && instance->pid)
        r = row(table, "QEMU", "process %" PRIu64, instance->pid);
    return r < 0 || !instance->folder ? r : row(table, "folder", "%s", instance->folder);
}

static int print_status(const struct api_instance *instance, struct pi_error *err)
{
    static const struct cli_column columns[] = {{"WHAT", CLI_LEFT}, {"VALUE", CLI_LEFT}, {0}};
    pi_auto_table struct libscols_table *table = cli_table_new(columns, true);
    if (!table)
        return pi_fail(err, ENOMEM, "status");
    int r = row(table, "name", "%s", instance->name);
    if (r == 0)
        r = row_state(table, instance);
    if (r == 0)
        r = row_cloud_init(table, instance);
    if (r == 0)
        r = row_machine(table, instance);
    if (r == 0)
        r = row_limits(table, instance);
    if (r == 0)
        r = row_time(table, "created", instance->created_ms);
    if (r == 0)
        r = row_time(table, "started", instance->started_ms);
    if (r == 0 && cli_state_is_over(instance->state))
        r = row_time(table, "stopped", instance->stopped_ms);
    if (r == 0)
        r = row_reach(table, instance);
    return r < 0 ? pi_fail(err, -r, "status") : cli_table_print(table, err);
}

struct status_options {
    bool json;
};

static int run_status(const struct cli_call *call, struct pi_error *err)
{
    const struct status_options *options = call->values;
    pi_auto_agent struct cli_agent agent = {0};
    pi_auto_instance struct api_instance instance = {0};
    json_auto_t *reply = NULL;
    int r = cli_connect(&agent, err);
    if (r == 0)
        r = cli_call(&agent, "GET", call->operands[0], NULL, NULL, &reply, err);
    if (r < 0 || options->json)
        return r < 0 ? r : cli_json_print(reply, err);
    r = api_read(instance, reply, &instance, err);
    return r < 0 ? pi_context(err, r, "the agent's answer") : print_status(&instance, err);
}

static const struct cli_option ps_table[] = {
    {.name = "all",
     .letter = 'a',
     .type = CLI_FLAG,
     .offset = offsetof(struct ps_options, all),
     .help = "those that don't run, too"},
    {.name = "quiet",
     .letter = 'q',
     .type = CLI_FLAG,
     .offset = offsetof(struct ps_options, quiet),
     .help = "only the names, one a line"},
    {.name = "json",
     .type = CLI_FLAG,
     .offset = offsetof(struct ps_options, json),
     .help = "as the agent's JSON"},
    {0},
};
static const struct cli_option status_table[] = {
    {.name = "json",
     .type = CLI_FLAG,
     .offset = offsetof(struct status_options, json),
     .help = "as the agent's JSON"},
    {0},
};

const struct cli_command cli_command_ps = {
    .name = "ps",
    .operands = "[NAME...]",
    .summary = "lists the instances that run, or those named",
    .example = "piagent ps -a",
    .options = ps_table,
    .values_size = sizeof(struct ps_options),
    .max_operands = 64,
    .operand = CLI_MACHINE,
    .run = run_ps,
};
const struct cli_command cli_command_status = {
    .name = "status",
    .operands = "NAME",
    .summary = "tells all about one machine",
    .example = "piagent status pi-1 --json",
    .options = status_table,
    .values_size = sizeof(struct status_options),
    .min_operands = 1,
    .max_operands = 1,
    .operand = CLI_MACHINE,
    .run = run_status,
};
