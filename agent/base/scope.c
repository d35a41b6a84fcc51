/* SPDX-License-Identifier: MIT */
#include "agent/base/scope.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/base/paths.h"
#include "agent/base/proc.h"
#include "agent/base/random.h"
#include "agent/base/text.h"
#include "agent/base/user_manager.h"

static bool in_service(void)
{
    pi_auto_buf struct pi_buf cgroups = {0};
    return pi_proc_read("self", "cgroup", &cgroups) == 0 && strstr(cgroups.data, ".service\n");
}

static int check_controller(const char *option, const char *controller, pid_t manager, struct pi_error *err)
{
    if (pi_user_manager_has(manager, controller))
        return 0;
    return pi_refuse(
        err, PI_HOST,
        "--%s: this host gives users' systemd no %s controller: say Delegate=cpu memory pids for user@.service (with cgroup v2), or leave out --%s",
        option, controller, option);
}

static int check_limits(const struct scope *scope, pid_t manager, struct pi_error *err)
{
    int r = scope->memory_max_mib ? check_controller("memory-max", "memory", manager, err) : 0;
    return r == 0 && scope->cpu_quota_percent ? check_controller("cpu-quota", "cpu", manager, err) : r;
}

/* A name that no scope has, even while systemd still clears the last start's scope away. */
static int add_unit(const char *name, struct pi_strv *run)
{
    char suffix[9];
    int r = pi_random_hex(8, suffix);
    return r < 0 ? r : pi_strv_addf(run, "--unit=piagent-%s-%s", name, suffix);
}

static int put_before(const char *program, const struct scope *scope, struct pi_strv *argv)
{
    static const char *const options[] = {"--user", "--scope", "--collect", "--quiet"};
    pi_auto_strv struct pi_strv run = {0};
    int r = pi_strv_add(&run, program);
    for (size_t i = 0; r == 0 && i < PI_ARRAY_SIZE(options); i++)
        r = pi_strv_add(&run, options[i]);
    if (r == 0)
        r = add_unit(scope->name, &run);
    if (r == 0 && scope->memory_max_mib)
        r = pi_strv_addf(&run, "--property=MemoryMax=%" PRIu64 "M", scope->memory_max_mib);
    if (r == 0 && scope->cpu_quota_percent)
        r = pi_strv_addf(&run, "--property=CPUQuota=%" PRIu64 "%%", scope->cpu_quota_percent);
    if (r == 0)
        r = pi_strv_add(&run, "--");
    for (size_t i = 0; r == 0 && i < argv->count; i++)
        r = pi_strv_add(&run, argv->items[i]);
    if (r < 0)
        return r;
    struct pi_strv qemu = *argv;
    *argv = run;
    run = qemu;
    return 0;
}

int scope_enter(const struct scope *scope, struct pi_strv *argv, struct pi_error *err)
{
    const char *option = scope->memory_max_mib ? "memory-max" : scope->cpu_quota_percent ? "cpu-quota" : NULL;
    pi_auto_free char *program = NULL;
    struct pi_error why;
    pid_t manager = 0;
    if (!option && !in_service())
        return 0;
    int r = pi_user_manager_find(&manager, &why);
    if (r == 0)
        r = pi_program_find("systemd-run", &program, &why);
    if (r < 0)
        return !option ? 0
                       : pi_refuse(err, PI_HOST,
                                   "--%s needs the user's systemd (%s): log in anew, or loginctl "
                                   "enable-linger, or leave out --%s",
                                   option, why.text, option);
    if ((r = check_limits(scope, manager, err)) < 0)
        return r;
    r = put_before(program, scope, argv);
    return r < 0 ? pi_fail(err, -r, "cannot start %s in a scope", scope->name) : 0;
}

bool scope_is_pending(pid_t pid)
{
    pi_auto_buf struct pi_buf name = {0};
    char number[16];
    snprintf(number, sizeof number, "%d", (int)pid);
    return pi_proc_read(number, "comm", &name) == 0 && pi_starts_with(name.data, "systemd-run");
}
