/* SPDX-License-Identifier: MIT */
#include "agent/instance/saved_state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/instance/instance.h"
#include "agent/instance/qemu_command.h"
#include "agent/loop/loop.h"

#define POLL_MS   50
#define SLACK     ((uint64_t)64 << 20) /* devices, the display's memory, and what the stream says of each page */
#define FD_NAME   "state"
#define DROPPED   VM_SAVED_RAM_FILE ".old"
#define BANDWIDTH ((json_int_t)1 << 40) /* bytes a second: the default would keep a file waiting */

/* What comes of an answer. */
enum taken {
    TAKEN_NEXT,  /* the next step */
    TAKEN_AGAIN, /* the same one, after a while */
    TAKEN_FAILED /* err says why */
};

struct saved_step {
    enum qmp_command command; /* QMP_COMMANDS: the end of the table */
    json_t *(*arguments)(void);
    bool gets_fd;
    enum taken (*take)(struct instance *instance, const json_t *data, struct pi_error *err);
    void (*end)(struct instance *instance); /* of the end */
};

static void ask_step(struct instance *instance);

static void on_poll(void *user)
{
    ask_step(user);
}

int saved_state_init(struct instance *instance)
{
    instance->saved_state.fd = -1;
    instance->saved_state.timer = timer_new(instance->host->loop, on_poll, instance);
    return instance->saved_state.timer ? 0 : -ENOMEM;
}

void saved_state_reset(struct instance *instance)
{
    struct saved_state *state = &instance->saved_state;
    timer_clear(state->timer);
    pi_close_p(&state->fd);
    state->fd = -1;
    state->step = NULL;
    vm_saved_done(&state->saved);
    state->saved = (struct vm_saved){0};
}

void saved_state_done(struct instance *instance)
{
    timer_free(instance->saved_state.timer);
}

static void end_save(struct instance *instance);
static void end_load(struct instance *instance);

static void state_failed(struct instance *instance, const char *why)
{
    bool saves = instance->record.life.state == VM_SAVING;
    char reason[VM_REASON_MAX];
    snprintf(reason, sizeof reason, "its state could not be %s: %s", saves ? "saved" : "loaded", why);
    saved_state_reset(instance);
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_STATE_FAILED, .reason = reason});
}

/* The steps: what QEMU is asked, and what its answers say. */

static enum taken take_status(struct instance *instance, const json_t *data, struct pi_error *err)
{
    struct qmp_status status;
    (void)instance;
    if (qmp_status_decode(data, &status) == 0 && status.running)
        return TAKEN_NEXT;
    pi_refuse(err, PI_CONFLICT, "its guest does not run any more");
    return TAKEN_FAILED;
}

static enum taken take_version(struct instance *instance, const json_t *data, struct pi_error *err)
{
    struct vm_saved *saved = &instance->saved_state.saved;
    struct qmp_version version;
    if (qmp_version_decode(data, &version) < 0) {
        pi_refuse(err, PI_FAILED, "QEMU does not tell its version");
        return TAKEN_FAILED;
    }
    if (instance->record.life.state == VM_RESTORING)
        return vm_saved_fits_qemu(saved, version.major, version.minor, err) < 0 ? TAKEN_FAILED : TAKEN_NEXT;
    saved->qemu_major = version.major;
    saved->qemu_minor = version.minor;
    saved->qemu_micro = version.micro;
    return TAKEN_NEXT;
}

static json_t *machine_type(void)
{
    return json_pack("{s:s, s:s}", "path", "/machine", "property", "type");
}

/* "pc-q35-7.2-machine": QEMU's name for the type of the machine (qom/object.h), with its version. */
static enum taken take_machine(struct instance *instance, const json_t *data, struct pi_error *err)
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

static json_t *bandwidth(void)
{
    return json_pack("{s:I}", "max-bandwidth", BANDWIDTH);
}

static json_t *fd_name(void)
{
    return json_pack("{s:s}", "fdname", FD_NAME);
}

static json_t *fd_uri(void)
{
    return json_pack("{s:s}", "uri", "fd:" FD_NAME);
}

static enum taken take_migration(struct instance *instance, const json_t *data, struct pi_error *err)
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

/* A QEMU that is loading already was told so by an earlier agent. */
static enum taken take_begun(struct instance *instance, const json_t *data, struct pi_error *err)
{
    struct qmp_migration migration;
    (void)err;
    if (qmp_migration_decode(data, &migration) == 0 && migration.state != QMP_MIGRATION_NONE)
        instance->saved_state.step += 2;
    return TAKEN_NEXT;
}

static const struct saved_step save_steps[] = {
    {QMP_QUERY_STATUS, .take = take_status},
    {.command = QMP_STOP},
    {QMP_QUERY_VERSION, .take = take_version},
    {QMP_QOM_GET, .arguments = machine_type, .take = take_machine},
    {QMP_MIGRATE_SET_PARAMETERS, .arguments = bandwidth},
    {QMP_GETFD, .arguments = fd_name, .gets_fd = true},
    {QMP_MIGRATE, .arguments = fd_uri},
    {QMP_QUERY_MIGRATE, .take = take_migration},
    {QMP_COMMANDS, .end = end_save},
};

static const struct saved_step load_steps[] = {
    {QMP_QUERY_VERSION, .take = take_version},
    {QMP_QUERY_MIGRATE, .take = take_begun}, /* skips the next two */
    {QMP_GETFD, .arguments = fd_name, .gets_fd = true},
    {QMP_MIGRATE_INCOMING, .arguments = fd_uri},
    {QMP_QUERY_MIGRATE, .take = take_migration},
    {QMP_COMMANDS, .end = end_load},
};

/* If the monitor is lost, a load ends, and a save is given up when the monitor is there again. If QEMU ended, its end tells. */
static void on_step_answer(int result, const json_t *data, const char *why, void *user)
{
    struct instance *instance = user;
    struct saved_state *state = &instance->saved_state;
    struct pi_error err;
    if (!state->step || !vm_state_is_saved(instance->record.life.state) || result == -ECONNRESET)
        return;
    enum taken taken = TAKEN_NEXT;
    if (result == 0 && state->step->take)
        taken = state->step->take(instance, data, &err);
    if (result < 0 || taken == TAKEN_FAILED) {
        state_failed(instance, result < 0 ? why : err.text);
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
    if (step->command == QMP_COMMANDS)
        step->end(instance);
    else if (!monitor_is_usable(instance) ||
             monitor_execute_with(instance, step->command, step->arguments ? step->arguments() : NULL,
                                  step->gets_fd ? state->fd : -1, on_step_answer, instance) < 0)
        state_failed(instance, "QEMU's monitor cannot be asked now");
}

static void begin_steps(struct instance *instance, const struct saved_step *steps)
{
    instance->saved_state.step = steps;
    ask_step(instance);
}

/* The save. */

/* The guest's memory that QEMU has touched is what the file will hold, at most. */
int saved_state_check_save(const struct instance *instance, struct pi_error *err)
{
    uint64_t need = instance->record.spec.memory_mib << 20, free_bytes;
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

static int describe_host(enum vm_accel accel, struct vm_saved *ret, struct pi_error *err)
{
    pi_auto_buf struct pi_buf cpuinfo = {0};
    if (accel != VM_ACCEL_KVM)
        return 0;
    int r = pi_file_read(AT_FDCWD, "/proc/cpuinfo", (size_t)4 << 20, &cpuinfo, err);
    if (r == 0)
        vm_saved_host_cpu(cpuinfo.data ? cpuinfo.data : "", ret->host_cpu);
    return r;
}

void saved_state_save(struct instance *instance)
{
    struct saved_state *state = &instance->saved_state;
    struct pi_error err;
    saved_state_reset(instance);
    int r = describe_running(instance, &state->saved, &err);
    if (r == 0)
        r = describe_host(instance->record.accel, &state->saved, &err);
    if (r == 0) {
        unlinkat(instance->dir_fd, VM_SAVED_RAM_FILE, 0);
        state->fd = openat(instance->dir_fd, VM_SAVED_RAM_FILE, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        r = state->fd < 0 ? pi_fail(&err, errno, VM_SAVED_RAM_FILE) : 0;
    }
    if (r < 0)
        state_failed(instance, err.text);
    else
        begin_steps(instance, save_steps);
}

/* A thread makes the files durable: the RAM's first, then the description, which names its size. */
struct keeping {
    uv_work_t request;
    struct instance *instance;
    int fd;
    struct vm_saved saved;
    int result;
    struct pi_error failure;
};

static void keep_in_thread(uv_work_t *request)
{
    struct keeping *keeping = request->data;
    int dir = keeping->instance->dir_fd;
    keeping->result = fsync(keeping->fd) < 0 ? pi_fail(&keeping->failure, errno, VM_SAVED_RAM_FILE) : 0;
    if (keeping->result == 0)
        keeping->result = vm_saved_look(dir, &keeping->saved, &keeping->failure);
    if (keeping->result == 0)
        keeping->result = vm_saved_write(dir, &keeping->saved, &keeping->failure);
}

static void on_kept(uv_work_t *request, int status)
{
    struct keeping *keeping = request->data;
    struct instance *instance = keeping->instance;
    bool still = instance->record.life.state == VM_SAVING && !instance->detached;
    char size[32];
    (void)status; /* nobody cancels it */
    instance->host->writes--;
    instance->saved_state.keeping = false;
    if (still && keeping->result < 0) {
        state_failed(instance, keeping->failure.text);
    } else if (still) {
        instance->record.saved_bytes = keeping->saved.ram.bytes;
        journal_note(instance, "its state is saved: %s", pi_size_format(keeping->saved.ram.bytes, size));
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_STATE_SAVED});
    }
    close(keeping->fd);
    vm_saved_done(&keeping->saved);
    free(keeping);
    instance_unref(instance);
}

static void end_save(struct instance *instance)
{
    struct saved_state *state = &instance->saved_state;
    struct keeping *keeping = calloc(1, sizeof *keeping);
    if (!keeping) {
        state_failed(instance, "no memory is left");
        return;
    }
    *keeping = (struct keeping){.instance = instance, .fd = pi_steal_fd(&state->fd), .saved = state->saved};
    state->saved = (struct vm_saved){0};
    state->step = NULL;
    state->keeping = true;
    keeping->request.data = keeping;
    instance_ref(instance);
    instance->host->writes++;
    uv_queue_work(instance->host->loop, &keeping->request, keep_in_thread, on_kept);
}

/* The load. */

/* What a start would load it into now. */
static int describe_now(const struct instance *instance, struct vm_saved *ret, struct pi_error *err)
{
    pi_auto_strv struct pi_strv argv = {0};
    enum vm_accel accel = instance->record.accel;
    int r = vm_saved_look(instance->dir_fd, ret, err);
    ret->accel = accel;
    if (r == 0)
        r = describe_host(accel, ret, err);
    if (r == 0)
        r = qemu_command_build(instance, accel, false, &argv, err);
    if (r == 0 && vm_saved_hardware(&argv, &ret->hardware) < 0)
        r = pi_fail(err, ENOMEM, "saved state");
    return r;
}

static int read_fitting(const struct instance *instance, struct vm_saved *ret, struct pi_error *err)
{
    struct vm_saved now = {0};
    int r = vm_saved_read(instance->dir_fd, ret, err);
    if (r == 0)
        r = describe_now(instance, &now, err);
    if (r == 0)
        r = vm_saved_fits(ret, &now, err);
    vm_saved_done(&now);
    return r;
}

int saved_state_check_load(struct instance *instance, struct pi_error *err)
{
    const char *name = instance->record.spec.name;
    struct vm_saved saved = {0};
    struct pi_error why;
    int r = read_fitting(instance, &saved, &why);
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

const char *saved_state_machine(const struct instance *instance)
{
    const struct vm_saved *saved = &instance->saved_state.saved;
    return instance->record.life.state == VM_RESTORING && saved->machine[0] ? saved->machine : NULL;
}

void saved_state_load(struct instance *instance)
{
    struct saved_state *state = &instance->saved_state;
    struct pi_error err;
    vm_saved_done(&state->saved);
    int r = vm_saved_read(instance->dir_fd, &state->saved, &err);
    if (r == 0) {
        state->fd = openat(instance->dir_fd, VM_SAVED_RAM_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        r = state->fd < 0 ? pi_fail(&err, errno, VM_SAVED_RAM_FILE) : 0;
    }
    if (r < 0)
        state_failed(instance, err.text);
    else
        begin_steps(instance, load_steps);
}

static void end_load(struct instance *instance)
{
    saved_state_reset(instance);
    guest_is_up(instance);
    silence_begin(instance);
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_STATE_LOADED});
}

static void on_dropped(uv_fs_t *request)
{
    struct instance *instance = request->data;
    uv_fs_req_cleanup(request);
    free(request);
    instance->host->writes--;
    instance_unref(instance);
}

/* The name goes at once, so that a new state can be saved; a large file takes its time. */
void saved_state_drop(struct instance *instance)
{
    pi_auto_free char *path = NULL;
    uv_fs_t *request = malloc(sizeof *request);
    saved_state_reset(instance);
    unlinkat(instance->dir_fd, VM_SAVED_FILE, 0);
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
}
