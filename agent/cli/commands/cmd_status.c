/* SPDX-License-Identifier: MIT */
/* "status" tells all about one instance. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "agent/base/auto.h"
#include "agent/cli/client/connect.h"
#include "agent/cli/client/instance_view.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/terminal/host_hint.h"
#include "agent/cli/terminal/table.h"

static int row(struct libscols_table *table, const char *head, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int row(struct libscols_table *table, const char *head, const char *format, ...)
{
    pi_auto_free char *text = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    return n < 0 ? -ENOMEM : cli_table_add(table, (const char *const[]){head, text}, CLI_PLAIN);
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
    const char *text = cli_age(at_ms, ago);
    return row(table, head, "%s (%s ago)", when, text ? text : "0s");
}

static int row_state(struct libscols_table *table, const struct api_instance *instance)
{
    const char *reason = instance->reason ? instance->reason : "";
    pi_auto_buf struct pi_buf hint = {0};
    int r = cli_table_add(table, (const char *const[]){"state", api_state_word(instance)},
                          cli_state_colour(instance->state));
    if (r == 0 && reason[0])
        r = row(table, "reason", "%s", cli_host_hint(reason, cli_host_chosen(), &hint));
    if (r == 0 && instance->begun_again)
        r = row(table, "boot", "begun again: a race in QEMU's emulation of several processors had killed it");
    if (r == 0 && instance->stopped_by && cli_state_is_over(instance->state))
        r = row(table, "ended by", "%s", PI_WORD(instance, stopped_by, api_stopped_by));
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
    int r = row(table, "cloud-init", "%s%s%s%s%s", PI_WORD(instance, cloud_init, api_cloud_init),
                stage[0] ? ", " : "", stage, took[0] ? ", after " : "", took);
    if (r == 0)
        r = row_list(table, "failed", &instance->failed_modules);
    return r < 0 ? r : row_list(table, "user-data", &instance->user_data_problems);
}

static int row_hardware(struct libscols_table *table, const struct api_instance *instance)
{
    char memory[32], disk[32];
    int r = row(table, "image", "%s%s", instance->image ? instance->image : "-",
                instance->image_verified ? "" : " (unverified)");
    return r < 0 ? r
                 : row(table, "machine", "%s%s%s, %" PRIu64 " CPU%s, %s memory, %s disk",
                       PI_WORD(instance, arch, vm_arch), instance->accel ? " under " : "",
                       instance->accel ? PI_WORD(instance, accel, vm_accel) : "", instance->spec.cpus,
                       instance->spec.cpus == 1 ? "" : "s",
                       pi_size_format(instance->spec.memory_mib << 20, memory),
                       pi_size_format(instance->spec.disk_bytes, disk));
}

static int row_place(struct libscols_table *table, const struct api_instance *instance)
{
    const struct vm_fleet *fleet = &instance->spec.fleet;
    int r = 0;
    if (fleet->name[0])
        r = row(table, "fleet", "%s, %s %" PRIu64 " of %" PRIu64, fleet->name, fleet->role, fleet->index,
                fleet->count);
    if (r == 0 && instance->spec.cloned_from[0])
        r = row(table, "cloned from", "%s", instance->spec.cloned_from);
    if (r == 0 && instance->spec.of_template[0])
        r = row(table, "template", "%s", instance->spec.of_template);
    return r < 0 ? r : row_list(table, "labels", &instance->spec.labels);
}

static int row_limits(struct libscols_table *table, const struct api_instance *instance)
{
    char memory[32];
    int r = 0;
    if (instance->spec.memory_max_mib)
        r = row(table, "memory-max", "%s", pi_size_format(instance->spec.memory_max_mib << 20, memory));
    if (r == 0 && instance->spec.cpu_quota_percent)
        r = row(table, "cpu-quota", "%" PRIu64 "%%", instance->spec.cpu_quota_percent);
    return r;
}

static int row_reach(struct libscols_table *table, const struct api_instance *instance)
{
    char memory[32];
    int r = 0;
    if (instance->spec.user && instance->spec.ssh_port)
        r = row(table, "ssh", "%s@127.0.0.1 port %" PRIu64, instance->spec.user, instance->spec.ssh_port);
    if (r == 0)
        r = row_list(table, "forwards", &instance->spec.forwards);
    if (r == 0)
        r = row_list(table, "networks", &instance->spec.networks);
    if (r == 0 && instance->spec.isolate)
        r = row(table, "isolated", "yes");
    if (r == 0 && instance->spec.ephemeral)
        r = row(table, "ephemeral", "yes: it is removed when it has ended");
    if (r == 0 && instance->pid)
        r = row(table, "QEMU", "process %" PRIu64 ", %s of the host's memory", instance->pid,
                pi_size_format(instance->host_memory_bytes, memory));
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
        r = row_hardware(table, instance);
    if (r == 0)
        r = row_limits(table, instance);
    if (r == 0)
        r = row_place(table, instance);
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
    if (r == 0 && (r = api_read(instance, reply, &instance, err)) < 0)
        r = pi_context(err, r, "the agent's answer");
    if (r == 0)
        r = cli_refuse_removed(&instance, err);
    if (r < 0)
        return r;
    return options->json ? cli_json_print(reply, err) : print_status(&instance, err);
}

static const struct cli_option status_table[] = {
    {.name = "json", CLI_MEMBER(CLI_FLAG, status_options, json), .help = "as the agent's JSON"},
    {0},
};

const struct cli_command cli_command_status = {
    .name = "status",
    .operands = "NAME",
    .summary = "tells all about one instance",
    .details =
        "The lines are: the state and its reason; how far cloud-init is, the modules that failed, and what is wrong with\n"
        "the user-data; the image, the hardware and the limits; the fleet, the source of a clone, the template and the labels; when\n"
        "the instance was created, started and stopped; how to reach it; QEMU's process; and its folder. A line is left out if there is nothing to\n"
        "say.",
    .example = "piagent status pi-1 --json",
    .options = status_table,
    .values_size = sizeof(struct status_options),
    .min_operands = 1,
    .max_operands = 1,
    .operand = CLI_MACHINE,
    .run = run_status,
};
