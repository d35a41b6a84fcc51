/* SPDX-License-Identifier: MIT */
#include "agent/instance/saved_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/instance/instance.h"
#include "agent/loop/loop.h"
#include "agent/vm/argv.h"

#define POLL_MS         50
#define FD_NAME         "state"
#define FDSET           1
#define TEXT_OF(number) #number
#define FILE_URI(fdset) "file:/dev/fdset/" TEXT_OF(fdset)
#define DROPPED         VM_SAVED_RAM_FILE ".old"

static void ask_step(struct instance *instance);

static void on_poll(void *user)
{
    ask_step(user);
}

int saved_state_init(struct instance *instance)
{
    instance->saved_state.fd = instance->saved_state.dir_fd = -1;
    instance->saved_state.timer = timer_new(instance->host->loop, on_poll, instance);
    return instance->saved_state.timer ? 0 : -ENOMEM;
}

void saved_state_reset(struct instance *instance)
{
    struct saved_state *state = &instance->saved_state;
    timer_clear(state->timer);
    pi_close_p(&state->fd);
    pi_close_p(&state->dir_fd);
    state->fd = state->dir_fd = -1;
    state->step = NULL;
    state->proof = NULL;
    vm_saved_done(&state->saved);
    state->saved = (struct vm_saved){0};
}

void saved_state_done(struct instance *instance)
{
    timer_free(instance->saved_state.timer);
}

void saved_state_failed(struct instance *instance, const char *why)
{
    bool saves = instance->record.life.state == VM_SAVING;
    char reason[VM_REASON_MAX];
    snprintf(reason, sizeof reason, "its state could not be %s: %s", saves ? "saved" : "loaded", why);
    saved_state_reset(instance);
    snapshot_broke_off(instance, why);
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_STATE_FAILED, .reason = reason});
}

bool saved_state_has_template_ram(const struct instance *instance)
{
    return instance->record.spec.template || instance->record.identity_due;
}

json_t *saved_step_capabilities(const struct instance *instance)
{
    return json_pack("{s:[{s:s, s:b}]}", "capabilities", "capability", "x-ignore-shared", "state",
                     saved_state_has_template_ram(instance));
}

int saved_state_note_qemu(struct instance *instance, const json_t *data, struct qmp_version *ret,
                          struct pi_error *err)
{
    if (qmp_version_decode(data, ret) < 0)
        return pi_refuse(err, PI_FAILED, "QEMU does not tell its version");
    instance->saved_state.by_fdset = ret->major > 9 || (ret->major == 9 && ret->minor >= 1);
    return 0;
}

json_t *saved_step_file(const struct instance *instance)
{
    return instance->saved_state.by_fdset ? json_pack("{s:i}", "fdset-id", FDSET)
                                          : json_pack("{s:s}", "fdname", FD_NAME);
}

json_t *saved_step_fdset(const struct instance *instance)
{
    (void)instance;
    return json_pack("{s:i}", "fdset-id", FDSET);
}

json_t *saved_step_uri(const struct instance *instance)
{
    return json_pack("{s:s}", "uri", instance->saved_state.by_fdset ? FILE_URI(FDSET) : "fd:" FD_NAME);
}

enum saved_taken saved_step_migrated(struct instance *instance, const json_t *data, struct pi_error *err)
{
    struct qmp_migration migration;
    (void)instance;
    if (qmp_migration_decode(data, &migration) < 0)
        pi_refuse(err, PI_FAILED, "QEMU does not tell how far it is");
    else if (migration.state == QMP_MIGRATION_DONE)
        return TAKEN_NEXT;
    else if (migration.state == QMP_MIGRATION_ACTIVE)
        return TAKEN_AGAIN;
    else
        pi_refuse(err, PI_FAILED, "QEMU says: %s", migration.error[0] ? migration.error : migration.name);
    return TAKEN_FAILED;
}

/* If the monitor is lost, a load ends, and a save is given up when the monitor is there again. If QEMU ended, its end tells. */
static void on_step_answer(int result, const json_t *data, const char *why, void *user)
{
    struct instance *instance = user;
    struct saved_state *state = &instance->saved_state;
    struct pi_error err;
    if (!state->step || !vm_state_is_saved(instance->record.life.state) || result == -ECONNRESET)
        return;
    enum saved_taken taken = TAKEN_NEXT;
    if (result == -EREMOTEIO && state->step->command == QMP_BLOCKDEV_SNAPSHOT)
        snapshot_note_switch(instance, false);
    if (result == -EREMOTEIO && state->step->may_be_refused)
        result = 0;
    if (result == 0 && state->step->take)
        taken = state->step->take(instance, data, &err);
    if (result < 0 || taken == TAKEN_FAILED) {
        saved_state_failed(instance, result < 0 ? why : err.text);
    } else if (taken == TAKEN_AGAIN) {
        timer_set(state->timer, POLL_MS);
    } else {
        state->step++;
        ask_step(instance);
    }
}

static void ask_step(struct instance *instance)
{
    struct saved_state *state = &instance->saved_state;
    const struct saved_step *step = state->step;
    bool passes = step->command == QMP_GETFD;
    if (step->command == QMP_BLOCKDEV_SNAPSHOT)
        snapshot_note_switch(instance, true);
    if (step->command == QMP_COMMANDS)
        step->end(instance);
    else if (!monitor_is_usable(instance) ||
             monitor_execute_with(instance, passes && state->by_fdset ? QMP_ADD_FD : step->command,
                                  step->arguments ? step->arguments(instance) : NULL, passes ? state->fd : -1,
                                  on_step_answer, instance) < 0)
        saved_state_failed(instance, "QEMU's monitor cannot be asked now");
}

void saved_state_begin(struct instance *instance, const struct saved_step *steps)
{
    instance->saved_state.step = steps;
    ask_step(instance);
}

int saved_state_add_host(enum vm_accel accel, struct vm_saved *ret, struct pi_error *err)
{
    pi_auto_buf struct pi_buf cpuinfo = {0};
    if (accel != VM_ACCEL_KVM)
        return 0;
    int r = pi_file_read(AT_FDCWD, "/proc/cpuinfo", (size_t)4 << 20, &cpuinfo, err);
    if (r == 0)
        vm_saved_host_cpu(cpuinfo.data ? cpuinfo.data : "", ret->host_cpu);
    return r;
}

static void on_dropped(uv_fs_t *request)
{
    struct instance *instance = request->data;
    uv_fs_req_cleanup(request);
    free(request);
    instance->host->writes--;
    instance_unref(instance);
}

/* A QEMU that resumed from it has it open. */
static void drop_template_ram(const struct instance *instance)
{
    if (!instance->record.spec.template)
        unlinkat(instance->dir_fd, VM_TEMPLATE_RAM_FILE, 0);
}

/* The name goes at once, so that a new state can be saved; a large file takes its time. */
void saved_state_drop(struct instance *instance)
{
    pi_auto_free char *path = NULL;
    uv_fs_t *request = malloc(sizeof *request);
    saved_state_reset(instance);
    snapshot_broke_off(instance, "its guest was not left in peace");
    unlinkat(instance->dir_fd, VM_SAVED_FILE, 0);
    drop_template_ram(instance);
    renameat(instance->dir_fd, VM_SAVED_RAM_FILE, instance->dir_fd, DROPPED);
    if (!request || asprintf(&path, "%s/" DROPPED, instance->folder) < 0) {
        free(request);
        unlinkat(instance->dir_fd, DROPPED, 0);
        return;
    }
    request->data = instance;
    instance_ref(instance);
    instance->host->writes++;
    uv_fs_unlink(instance->host->loop, request, path, on_dropped);
}

void saved_state_sweep(const struct instance *instance)
{
    unlinkat(instance->dir_fd, DROPPED, 0);
    if (vm_life_has_saved_state(&instance->record.life))
        return;
    unlinkat(instance->dir_fd, VM_SAVED_FILE, 0);
    unlinkat(instance->dir_fd, VM_SAVED_RAM_FILE, 0);
    drop_template_ram(instance);
}
