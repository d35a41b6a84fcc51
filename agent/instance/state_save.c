/* SPDX-License-Identifier: MIT */
#include "agent/instance/state_save.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/instance/instance.h"
#include "agent/instance/snapshot_save.h"
#include "agent/instance/state_keep.h"

#define SLACK     ((uint64_t)64 << 20) /* devices, the display's memory, and what the stream says of each page */
#define BANDWIDTH ((json_int_t)1 << 40) /* bytes a second: the default would keep a file waiting */

static void end_description(struct instance *instance);
static void end_save(struct instance *instance);

static enum saved_taken take_status(struct instance *instance, const json_t *data, struct pi_error *err)
{
    struct qmp_status status;
    (void)instance;
    if (qmp_status_decode(data, &status) == 0 && status.running)
        return TAKEN_NEXT;
    pi_refuse(err, PI_CONFLICT, "its guest does not run any more");
    return TAKEN_FAILED;
}

static enum saved_taken take_saver(struct instance *instance, const json_t *data, struct pi_error *err)
{
    struct vm_saved *saved = &instance->saved_state.saved;
    struct qmp_version version;
    if (saved_state_note_qemu(instance, data, &version, err) < 0)
        return TAKEN_FAILED;
    saved->qemu_major = version.major;
    saved->qemu_minor = version.minor;
    saved->qemu_micro = version.micro;
    return TAKEN_NEXT;
}

static json_t *machine_type(const struct instance *instance)
{
    (void)instance;
    return json_pack("{s:s, s:s}", "path", "/machine", "property", "type");
}

/* "pc-q35-7.2-machine": QEMU's name for the type of the machine (qom/object.h), with its version. */
static enum saved_taken take_machine(struct instance *instance, const json_t *data, struct pi_error *err)
{
    static const char suffix[] = "-machine";
    char *machine = instance->saved_state.saved.machine;
    const char *type = json_is_string(data) ? json_string_value(data) : "";
    size_t length = strlen(type);
    if (!pi_ends_with(type, suffix) ||
        length - strlen(suffix) >= sizeof instance->saved_state.saved.machine) {
        pi_refuse(err, PI_FAILED, "QEMU does not tell the version of its -machine");
        return TAKEN_FAILED;
    }
    snprintf(machine, sizeof instance->saved_state.saved.machine, "%.*s", (int)(length - strlen(suffix)),
             type);
    return TAKEN_NEXT;
}

static json_t *bandwidth(const struct instance *instance)
{
    (void)instance;
    return json_pack("{s:I}", "max-bandwidth", BANDWIDTH);
}

/* The guest runs on meanwhile. */
static const struct saved_step describe_steps[] = {
    {QMP_QUERY_VERSION, .take = take_saver},
    {QMP_QOM_GET, .arguments = machine_type, .take = take_machine},
    {QMP_MIGRATE_SET_PARAMETERS, .arguments = bandwidth},
    {QMP_MIGRATE_SET_CAPABILITIES, .arguments = saved_step_capabilities},
    {QMP_REMOVE_FD, .arguments = saved_step_fdset, .may_be_refused = true},
    {QMP_GETFD, .arguments = saved_step_file},
    {QMP_COMMANDS, .end = end_description},
};

static const struct saved_step save_steps[] = {
    {QMP_QUERY_STATUS, .take = take_status},
    {.command = QMP_STOP},
    {QMP_MIGRATE, .arguments = saved_step_uri},
    {QMP_QUERY_MIGRATE, .take = saved_step_migrated},
    {QMP_COMMANDS, .end = end_save},
};

static void end_description(struct instance *instance)
{
    if (snapshot_is_saving(instance))
        snapshot_save_begin(instance);
    else
        saved_state_begin(instance, save_steps);
}

/* The guest's memory that QEMU has touched is what the file will hold, at most. */
int state_save_check(const struct instance *instance, struct pi_error *err)
{
    bool apart = saved_state_has_template_ram(instance);
    uint64_t need = apart ? 0 : instance->record.spec.memory_mib << 20, free_bytes;
    struct pi_usage usage;
    char need_text[32], free_text[32];
    if (instance->saved_state.keeping)
        return pi_refuse(err, PI_CONFLICT, "the last saved state of %s is still being written: try again",
                         instance->record.spec.name);
    if (!monitor_is_usable(instance))
        return pi_refuse(err, PI_FAILED, "%s: QEMU's monitor cannot be asked now: try again",
                         instance->record.spec.name);
    if (process_usage(instance, &usage) && usage.resident_bytes < need)
        need = usage.resident_bytes;
    need += SLACK;
    int r = pi_space_free(instance->folder, &free_bytes, err);
    if (r < 0 || free_bytes >= need)
        return r;
    return pi_refuse(err, PI_HOST, "the saved state of %s may take %s, and only %s are free at %s",
                     instance->record.spec.name, pi_size_format(need, need_text),
                     pi_size_format(free_bytes, free_text), instance->folder);
}

/* What the guest runs on, by the command line of the QEMU that runs it. */
static int describe_running(const struct instance *instance, struct vm_saved *ret, struct pi_error *err)
{
    char pid[24];
    pi_auto_buf struct pi_buf words = {0};
    pi_auto_strv struct pi_strv argv = {0};
    snprintf(pid, sizeof pid, "%" PRIu64, instance->record.pid);
    ret->schema = VM_SAVED_SCHEMA;
    ret->accel = instance->record.accel;
    int r = pi_proc_read(pid, "cmdline", &words);
    for (const char *word = words.data; r == 0 && word < words.data + words.size; word += strlen(word) + 1)
        r = pi_strv_add(&argv, word);
    if (r == 0)
        r = vm_saved_hardware(&argv, &ret->hardware);
    return r < 0 ? pi_fail(err, -r, "cannot read QEMU's command line") : 0;
}

/* The file of the RAM, in the folder that the state goes to. */
static int open_state(struct instance *instance, struct pi_error *err)
{
    struct saved_state *state = &instance->saved_state;
    state->dir_fd =
        snapshot_is_saving(instance) ? snapshot_open(instance) : fcntl(instance->dir_fd, F_DUPFD_CLOEXEC, 0);
    if (state->dir_fd < 0)
        return pi_fail(err, errno, "cannot open its folder");
    unlinkat(state->dir_fd, VM_SAVED_RAM_FILE, 0);
    state->fd = openat(state->dir_fd, VM_SAVED_RAM_FILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return state->fd < 0 ? pi_fail(err, errno, VM_SAVED_RAM_FILE) : 0;
}

void state_save_begin(struct instance *instance)
{
    struct saved_state *state = &instance->saved_state;
    struct pi_error err;
    saved_state_reset(instance);
    int r = describe_running(instance, &state->saved, &err);
    if (r == 0)
        r = saved_state_add_host(instance->record.accel, &state->saved, &err);
    if (r == 0)
        r = open_state(instance, &err);
    if (r < 0)
        saved_state_failed(instance, err.text);
    else
        saved_state_begin(instance, describe_steps);
}

static void on_kept(uv_work_t *request, int status)
{
    struct keeping *keeping = keeping_of(request);
    struct instance *instance = keeping->instance;
    char size[32];
    (void)status; /* nobody cancels it */
    if (keeping_counts(keeping) && keeping->result < 0) {
        saved_state_failed(instance, keeping->failure.text);
    } else if (keeping_counts(keeping)) {
        uint64_t bytes = keeping->saved.ram.bytes + keeping->template_bytes;
        instance->record.saved_bytes = bytes;
        journal_note(instance, "its state is saved: %s", pi_size_format(bytes, size));
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_STATE_SAVED,
                                                   .frozen = instance->record.spec.template});
    }
    keeping_end(keeping);
}

static void end_save(struct instance *instance)
{
    int r = template_freeze(instance);
    if (r < 0)
        saved_state_failed(instance, strerror(-r));
    else
        keeping_begin(instance, "", keeping_write, on_kept);
}
