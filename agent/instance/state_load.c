/* SPDX-License-Identifier: MIT */
#include "agent/instance/state_load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/image/digest.h"
#include "agent/instance/cards.h"
#include "agent/instance/instance.h"
#include "agent/instance/qemu_command.h"

static void end_load(struct instance *instance);

static enum saved_taken take_loader(struct instance *instance, const json_t *data, struct pi_error *err)
{
    struct qmp_version version;
    int r = saved_state_note_qemu(instance, data, &version, err);
    if (r == 0)
        r = vm_saved_fits_qemu(&instance->saved_state.saved, &version, err);
    return r < 0 ? TAKEN_FAILED : TAKEN_NEXT;
}

/* A QEMU that is loading already was told so by an earlier agent. */
static enum saved_taken take_begun(struct instance *instance, const json_t *data, struct pi_error *err)
{
    struct qmp_migration migration;
    (void)err;
    if (qmp_migration_decode(data, &migration) == 0 && migration.state != QMP_MIGRATION_NONE)
        while (instance->saved_state.step[1].take != saved_step_migrated)
            instance->saved_state.step++;
    return TAKEN_NEXT;
}

static const struct saved_step load_steps[] = {
    {QMP_QUERY_VERSION, .take = take_loader},
    {QMP_QUERY_MIGRATE, .take = take_begun}, /* may skip all up to the next */
    {QMP_MIGRATE_SET_CAPABILITIES, .arguments = saved_step_capabilities},
    {QMP_REMOVE_FD, .arguments = saved_step_fdset, .may_be_refused = true},
    {QMP_GETFD, .arguments = saved_step_file},
    {QMP_MIGRATE_INCOMING, .arguments = saved_step_uri},
    {QMP_QUERY_MIGRATE, .take = saved_step_migrated},
    {QMP_COMMANDS, .end = end_load},
};

/* What a start would load it into now. */
static int describe_now(const struct instance *instance, int dir_fd, enum vm_accel accel, const char *layer,
                        struct vm_saved *ret, struct pi_error *err)
{
    pi_auto_strv struct pi_strv argv = {0};
    int r = vm_saved_look(dir_fd, layer, ret, err);
    ret->accel = accel;
    if (r == 0)
        r = saved_state_add_host(accel, ret, err);
    if (r == 0)
        r = qemu_command_build(instance, accel, false, &argv, err);
    if (r == 0 && vm_saved_hardware(&argv, &ret->hardware) < 0)
        r = pi_fail(err, ENOMEM, "saved state");
    return r;
}

/* own_accel: the state has to fit the instance's accelerator; otherwise it is loaded under the one that it was saved under. */
static int read_fitting(const struct instance *instance, int dir_fd, bool own_accel, struct vm_saved *ret,
                        struct pi_error *err)
{
    struct vm_saved now = {0};
    int r = vm_saved_read(dir_fd, ret, err);
    if (r == 0)
        r = describe_now(instance, dir_fd, own_accel ? instance->record.accel : ret->accel, ret->layer, &now,
                         err);
    if (r == 0)
        r = vm_saved_fits(ret, &now, err);
    vm_saved_done(&now);
    return r;
}

int state_load_check(struct instance *instance, struct pi_error *err)
{
    const char *name = instance->record.spec.name;
    struct vm_saved saved = {0};
    struct pi_error why;
    int r = read_fitting(instance, instance->dir_fd, true, &saved, &why);
    if (r == 0) {
        saved_state_reset(instance);
        instance->saved_state.saved = saved;
        return 0;
    }
    vm_saved_done(&saved);
    return pi_refuse(
        err, PI_CONFLICT,
        "the saved state of %s does not fit: %s. To drop it and boot the disk, as after a power cut: "
        "piagent start --cold %s",
        name, why.text, name);
}

int state_load_check_copy(const struct instance *instance, int dir_fd, struct pi_error *err)
{
    struct vm_saved saved = {0};
    int r = read_fitting(instance, dir_fd, false, &saved, err);
    vm_saved_done(&saved);
    return r == -ENOENT ? 0 : r;
}

const char *state_load_machine(const struct instance *instance)
{
    const struct vm_saved *saved = &instance->saved_state.saved;
    return instance->record.life.state == VM_RESTORING && saved->machine[0] ? saved->machine : NULL;
}

/* The thread that compares the digest of the RAM's file. It may still read when nobody wants to know any more. */
struct state_proof {
    uv_work_t request;
    struct instance *instance;
    int fd;
    uint64_t bytes;
    char sha256[65];
    int result;
    struct pi_error failure;
};

static void prove_in_thread(uv_work_t *request)
{
    struct state_proof *proof = request->data;
    struct image_meter meter = {.now = {.name = VM_SAVED_RAM_FILE}};
    char sha256[65];
    proof->result = image_digest_file(proof->fd, -1, proof->bytes, &meter, sha256, &proof->failure);
    if (proof->result == 0 && strcmp(sha256, proof->sha256) != 0)
        proof->result = pi_refuse(&proof->failure, PI_FAILED, "the file of its RAM is damaged");
}

static void on_proven(uv_work_t *request, int status)
{
    struct state_proof *proof = request->data;
    struct instance *instance = proof->instance;
    (void)status; /* nobody cancels it */
    instance->host->writes--;
    if (instance->saved_state.proof == proof) {
        instance->saved_state.proof = NULL;
        if (proof->result < 0)
            saved_state_failed(instance, proof->failure.text);
        else
            saved_state_begin(instance, load_steps);
    }
    close(proof->fd);
    free(proof);
    instance_unref(instance);
}

static int begin_proof(struct instance *instance, struct pi_error *err)
{
    struct saved_state *state = &instance->saved_state;
    int fd = fcntl(state->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return pi_fail(err, errno, VM_SAVED_RAM_FILE);
    struct state_proof *proof = calloc(1, sizeof *proof);
    if (!proof) {
        close(fd);
        return pi_fail(err, ENOMEM, VM_SAVED_RAM_FILE);
    }
    *proof = (struct state_proof){.instance = instance, .fd = fd, .bytes = state->saved.ram.bytes};
    memcpy(proof->sha256, state->saved.ram_sha256, sizeof proof->sha256);
    proof->request.data = proof;
    instance_ref(instance);
    instance->host->writes++; /* the agent ends when it has ended */
    state->proof = proof;
    uv_queue_work(instance->host->loop, &proof->request, prove_in_thread, on_proven);
    return 0;
}

void state_load_begin(struct instance *instance)
{
    struct saved_state *state = &instance->saved_state;
    struct pi_error err;
    vm_saved_done(&state->saved);
    int r = vm_saved_read(instance->dir_fd, &state->saved, &err);
    if (r == 0) {
        state->fd = openat(instance->dir_fd, VM_SAVED_RAM_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        r = state->fd < 0 ? pi_fail(&err, errno, VM_SAVED_RAM_FILE) : 0;
    }
    if (r == 0)
        r = begin_proof(instance, &err);
    if (r < 0)
        saved_state_failed(instance, err.text);
}

static void on_loaded(struct instance *instance, const char *why)
{
    if (why) {
        saved_state_failed(instance, why);
        return;
    }
    saved_state_reset(instance);
    guest_is_up(instance);
    silence_begin(instance);
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_STATE_LOADED});
}

/* The cards that the instance has more than the template were not in the state. */
static void end_load(struct instance *instance)
{
    if (instance->record.identity_due)
        cards_plug(instance, on_loaded);
    else
        on_loaded(instance, NULL);
}
