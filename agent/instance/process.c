/* SPDX-License-Identifier: MIT */
#include "agent/instance/process.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/environ.h"
#include "agent/base/scope.h"
#include "agent/instance/accel.h"
#include "agent/instance/instance.h"
#include "agent/instance/ports.h"
#include "agent/instance/qemu_command.h"
#include "agent/instance/qemu_log.h"
#include "agent/instance/qemu_sockets.h"
#include "agent/loop/loop.h"
#include "agent/vm/argv.h"

void process_init(struct instance *instance)
{
    instance->process.child = PI_CHILD_NONE;
    instance->process.pidfd = -1;
}

void process_reset(struct instance *instance)
{
    struct process *process = &instance->process;
    watch_free(pi_steal(process->watch));
    pi_child_drop(&process->child);
    pi_close_p(&process->pidfd);
    process->pidfd = -1;
}

static int note_identity(struct instance *instance, struct pi_error *err)
{
    struct vm_record *record = &instance->record;
    struct pi_identity id;
    int r = pi_identify(instance->process.child.pid, &id, err);
    if (r < 0)
        return r;
    record->pid = (uint64_t)id.pid;
    record->start_ticks = id.start_ticks;
    snprintf(record->boot_id, sizeof record->boot_id, "%s", id.boot_id);
    return 0;
}

static int make_child(struct instance *instance, struct pi_strv *argv, int fds[QEMU_FD_COUNT],
                      struct pi_error *err)
{
    pi_auto_close int log = qemu_log_open(instance);
    if (log < 0)
        return pi_fail(err, -log, "cannot write qemu.log in %s", instance->folder);
    pi_auto_strv struct pi_strv environment = {0};
    if (pi_environ_add(pi_environ_is_common, &environment) < 0)
        return pi_fail(err, ENOMEM, "cannot start %s", argv->items[0]);
    fds[STDOUT_FILENO] = fds[STDERR_FILENO] = log;
    if (!instance->record.spec.isolate)
        fds[QEMU_SEED_PORT_FD] = instance->host->seed_port_fd;
    struct pi_spawn how = {.argv = (const char *const *)argv->items,
                           .fds = fds,
                           .fd_count = instance->record.template_hardware
                                           ? QEMU_FD_COUNT
                                           : QEMU_NETWORK_FD + instance->record.spec.networks.count,
                           .environ_ = (const char *const *)environment.items,
                           .new_session = true,
                           .deaf = instance->host->bound,
                           .orphan_signal = instance->host->bound ? SIGKILL : 0};
    int r = pi_child_new(&how, &instance->process.child, err);
    return r < 0 ? r : note_identity(instance, err);
}

int process_enter_scope(const struct instance *instance, struct pi_strv *argv, struct pi_error *err)
{
    const struct vm_spec *spec = &instance->record.spec;
    const struct scope scope = {spec->name, spec->memory_max_mib, spec->cpu_quota_percent};
    return scope_enter(&scope, argv, err);
}

int process_prepare(struct instance *instance, struct pi_error *err)
{
    pi_auto_strv struct pi_strv argv = {0};
    int fds[QEMU_FD_COUNT];
    for (size_t i = 0; i < PI_ARRAY_SIZE(fds); i++)
        fds[i] = -1;
    int r = qemu_command_build(instance, instance->record.accel, false, &argv, err);
    if (r == 0)
        r = process_enter_scope(instance, &argv, err);
    if (r == 0)
        r = qemu_sockets_bind(instance, fds, err);
    if (r == 0)
        r = make_child(instance, &argv, fds, err);
    qemu_sockets_close(fds);
    return r;
}

int process_go(struct instance *instance, struct pi_error *err)
{
    int r = pi_child_go(&instance->process.child, &instance->process.pidfd);
    return r < 0 ? pi_fail(err, -r, "cannot start %s", vm_qemu_program(instance->record.spec.arch)) : 0;
}

int process_adopt(struct instance *instance)
{
    const struct vm_record *record = &instance->record;
    struct pi_identity id = {.pid = (pid_t)record->pid, .start_ticks = record->start_ticks};
    snprintf(id.boot_id, sizeof id.boot_id, "%s", record->boot_id);
    instance->process.pidfd = pi_identity_open(&id);
    if (instance->process.pidfd == -ESRCH) /* perhaps just now: its network may not have ended yet */
        instance->process.ended_ms = pi_monotonic_ms();
    return instance->process.pidfd < 0 ? instance->process.pidfd : 0;
}

/* The end of a QEMU: a reason in words, and the event for the instance. */

static void explain_words(const struct instance *instance, int code, char *words, size_t size)
{
    uint64_t max_mib = instance->record.spec.memory_max_mib;
    qemu_log_last_line(instance, words, size);
    if (!words[0] && code == 128 + SIGKILL && max_mib)
        snprintf(words, size, "the kernel kills QEMU when it uses more than --memory-max (%" PRIu64 " MiB)",
                 max_mib);
}

/* If KVM cannot set up the vCPUs, QEMU aborts: TCG may work. An exit by itself has another reason, which TCG
 * would share. */
static bool has_aborted_under_kvm(const struct vm_record *record, int code)
{
    return record->life.state == VM_STARTING && vm_life_is_starting(&record->life) &&
           record->accel == VM_ACCEL_KVM && code > 128;
}

static bool is_expected(const struct vm_life *life)
{
    return life->shutdown_seen || life->relaunch || vm_life_is_saved_whole(life) ||
           (life->state == VM_RESTORING && life->rung == VM_RUNG_KILL) ||
           (life->state == VM_STOPPING && life->rung > VM_RUNG_POWERDOWN);
}

/* code: negative if no agent saw how it ended. */
static void feed_end(struct instance *instance, int code, const char *how)
{
    const struct vm_life *life = &instance->record.life;
    char words[384], reason[VM_REASON_MAX] = "";
    explain_words(instance, code, words, sizeof words);
    bool aborted = has_aborted_under_kvm(&instance->record, code);
    bool fallback = aborted && accel_may_fall_back(&instance->record);
    bool taken = vm_life_is_starting(life) && ports_were_taken(instance, words);
    if (life->cut_off)
        snprintf(reason, sizeof reason,
                 "QEMU was told to end from outside piagent, as a logout or the host's shutdown does, "
                 "and its guest was not powered off%s%s",
                 words[0] ? ": " : "", words);
    else if (fallback)
        journal_note(instance, "QEMU cannot use KVM on this host (%s): starting it afresh under TCG", how);
    else if (aborted)
        snprintf(reason, sizeof reason,
                 "QEMU cannot use KVM on this host (%s): leave out --accel, or say --accel tcg", how);
    else if (taken)
        journal_note(instance, "another program took a port while QEMU was starting: starting it afresh");
    else if (code < 0 && vm_life_is_starting(life))
        journal_note(instance, "QEMU ended while it was starting (%s)%s%s: starting it afresh", how,
                     words[0] ? ": " : "", words);
    else if (!is_expected(life))
        snprintf(reason, sizeof reason, "QEMU ended (%s)%s%s", how, words[0] ? ": " : "", words);
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_EXITED,
                                               .fallback = fallback,
                                               .again = code < 0 || taken,
                                               .reason = reason[0] ? reason : NULL});
}

static void on_qemu_ended(void *user)
{
    struct instance *instance = user;
    char how[64] = "no agent saw how"; /* an adopted one is no child of this agent */
    int code = -1;
    if (pi_reap(instance->process.pidfd, &code, how, sizeof how) == -EAGAIN)
        return;
    instance->process.ended_ms = pi_monotonic_ms();
    feed_end(instance, code, how);
}

int process_watch(struct instance *instance, struct pi_error *err)
{
    struct process *process = &instance->process;
    if (!process->watch)
        process->watch = watch_new(instance->host->loop, process->pidfd, on_qemu_ended, instance);
    return process->watch ? 0 : pi_fail(err, ENOMEM, "QEMU");
}

bool process_is_watched(const struct instance *instance)
{
    return instance->process.watch;
}

bool process_is_there(const struct instance *instance)
{
    return instance->process.pidfd >= 0;
}

int process_signal(const struct instance *instance, int signal)
{
    int pidfd = instance->process.pidfd;
    return pidfd < 0 ? pidfd : pi_signal(pidfd, signal);
}

bool process_usage(const struct instance *instance, struct pi_usage *ret)
{
    struct pi_usage usage;
    const struct vm_record *record = &instance->record;
    if (!process_is_there(instance) || pi_usage_read((pid_t)record->pid, &usage) < 0 ||
        usage.start_ticks != record->start_ticks)
        return false;
    *ret = usage;
    return true;
}

uint64_t process_memory_bytes(const struct instance *instance)
{
    struct pi_usage usage; /* tells that it is that process */
    uint64_t bytes = 0;
    if (process_usage(instance, &usage))
        (void)pi_memory_read((pid_t)instance->record.pid, &bytes);
    return bytes;
}

uint64_t process_ended_ms(const struct instance *instance)
{
    return instance->process.ended_ms;
}
