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
#include "agent/image/digest.h"
#include "agent/instance/instance.h"
#include "agent/vm/argv.h"

#define SLACK     ((uint64_t)64 << 20) /* devices, the display's memory, and what the stream says of each page */
#define BANDWIDTH ((json_int_t)1 << 40) /* bytes a second: the default would keep a file waiting */

static void end_save(struct instance *instance);
static void end_snapshot(struct instance *instance);

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
    if (qmp_version_decode(data, &version) < 0) {
        pi_refuse(err, PI_FAILED, "QEMU does not tell its version");
        return TAKEN_FAILED;
    }
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

static const struct saved_step save_steps[] = {
    {QMP_QUERY_STATUS, .take = take_status},
    {.command = QMP_STOP},
    {QMP_QUERY_VERSION, .take = take_saver},
    {QMP_QOM_GET, .arguments = machine_type, .take = take_machine},
    {QMP_MIGRATE_SET_PARAMETERS, .arguments = bandwidth},
    {QMP_MIGRATE_SET_CAPABILITIES, .arguments = saved_step_capabilities},
    {QMP_GETFD, .arguments = saved_step_fd_name, .gets_fd = true},
    {QMP_MIGRATE, .arguments = saved_step_fd_uri},
    {QMP_QUERY_MIGRATE, .take = saved_step_migrated},
    {QMP_COMMANDS, .end = end_save},
};

/* A snapshot: the disk that the guest wrote to up to now is frozen as a layer. The worker has put an empty disk on it; QEMU
 * opens that, and writes there from now on (qapi/block-core.json). */

static json_t *old_overlay(const struct instance *instance)
{
    return json_pack("{s:s}", "node-name", snapshot_layer(instance));
}

static json_t *old_overlay_file(const struct instance *instance)
{
    return json_pack("{s:s+}", "node-name", snapshot_layer(instance), "-file");
}

static json_t *overlay_file(const struct instance *instance)
{
    pi_auto_free char *path = NULL;
    if (asprintf(&path, "%s/" VM_DISK_FILE, instance->folder) < 0)
        path = NULL;
    return json_pack("{s:s, s:s+, s:s, s:s}", "driver", "file", "node-name", snapshot_layer(instance),
                     "-file", "filename", path ? path : "", "discard", "unmap");
}

static json_t *overlay(const struct instance *instance)
{
    return json_pack("{s:s, s:s, s:s+, s:n, s:s}", "driver", "qcow2", "node-name", snapshot_layer(instance),
                     "file", snapshot_layer(instance), "-file", "backing", "discard", "unmap");
}

/* The disk's node has its name from the command line ("disk"), or from the last snapshot. */
static enum saved_taken take_blocks(struct instance *instance, const json_t *data, struct pi_error *err)
{
    struct saved_state *state = &instance->saved_state;
    const json_t *block;
    size_t i;
    json_array_foreach(data, i, block) {
        const char *node =
            json_string_value(json_object_get(json_object_get(block, "inserted"), "node-name"));
        if (node && (!strcmp(node, VM_DISK_NODE) || pi_starts_with(node, "base-")) &&
            strlen(node) < sizeof state->node) {
            snprintf(state->node, sizeof state->node, "%s", node);
            return TAKEN_NEXT;
        }
    }
    pi_refuse(err, PI_FAILED, "QEMU does not tell its disk");
    return TAKEN_FAILED;
}

static json_t *switch_disks(const struct instance *instance)
{
    return json_pack("{s:s, s:s}", "node", instance->saved_state.node, "overlay", snapshot_layer(instance));
}

/* The guest stands still from the stop on. */
static const struct saved_step snapshot_steps[] = {
    {QMP_QUERY_VERSION, .take = take_saver},
    {QMP_QOM_GET, .arguments = machine_type, .take = take_machine},
    {QMP_MIGRATE_SET_PARAMETERS, .arguments = bandwidth},
    {QMP_MIGRATE_SET_CAPABILITIES, .arguments = saved_step_capabilities},
    {QMP_BLOCKDEV_DEL, .arguments = old_overlay, .may_be_refused = true}, /* of a snapshot that failed */
    {QMP_BLOCKDEV_DEL, .arguments = old_overlay_file, .may_be_refused = true},
    {QMP_BLOCKDEV_ADD, .arguments = overlay_file},
    {QMP_BLOCKDEV_ADD, .arguments = overlay},
    {QMP_QUERY_BLOCK, .take = take_blocks},
    {QMP_GETFD, .arguments = saved_step_fd_name, .gets_fd = true},
    {.command = QMP_STOP},
    {QMP_BLOCKDEV_SNAPSHOT, .arguments = switch_disks},
    {QMP_MIGRATE, .arguments = saved_step_fd_uri},
    {QMP_QUERY_MIGRATE, .take = saved_step_migrated},
    {QMP_COMMANDS, .end = end_snapshot},
};

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
    state->fd = openat(state->dir_fd, VM_SAVED_RAM_FILE, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
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
        saved_state_begin(instance, snapshot_is_saving(instance) ? snapshot_steps : save_steps);
}

/* Threads make the files durable: the RAM's first, then the description, which names its size. */
struct keeping {
    uv_work_t request;
    struct instance *instance;
    int fd, dir_fd;
    struct vm_saved saved;
    uint64_t template_bytes; /* of the file of a template's RAM */
    int result;
    struct pi_error failure;
};

/* *ret_bytes: that it takes of the disk. */
static int sync_template_ram(int dir_fd, uint64_t *ret_bytes, struct pi_error *err)
{
    struct stat st;
    pi_auto_close int fd = openat(dir_fd, VM_TEMPLATE_RAM_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 || fsync(fd) < 0 || fstat(fd, &st) < 0)
        return pi_fail(err, errno, VM_TEMPLATE_RAM_FILE);
    *ret_bytes = (uint64_t)st.st_blocks * 512;
    return 0;
}

static void keep_in_thread(uv_work_t *request)
{
    struct keeping *keeping = request->data;
    struct pi_error *err = &keeping->failure;
    struct image_meter meter = {.now = {.name = VM_SAVED_RAM_FILE}};
    int r = fsync(keeping->fd) < 0 ? pi_fail(err, errno, VM_SAVED_RAM_FILE) : 0;
    if (r == 0)
        r = sync_template_ram(keeping->dir_fd, &keeping->template_bytes, err);
    if (r == 0)
        r = vm_saved_look(keeping->dir_fd, keeping->saved.layer, &keeping->saved, err);
    if (r == 0)
        r = image_digest_file(keeping->fd, -1, keeping->saved.ram.bytes, &meter, keeping->saved.ram_sha256,
                              err);
    if (r == 0)
        r = vm_saved_write(keeping->dir_fd, &keeping->saved, err);
    keeping->result = r;
}

static void keeping_free(struct keeping *keeping)
{
    struct instance *instance = keeping->instance;
    close(keeping->fd);
    close(keeping->dir_fd);
    vm_saved_done(&keeping->saved);
    free(keeping);
    instance->saved_state.keeping = false;
    instance_unref(instance);
}

static void queue_keeping(struct keeping *keeping, uv_work_cb work, uv_after_work_cb done)
{
    keeping->instance->host->writes++;
    uv_queue_work(keeping->instance->host->loop, &keeping->request, work, done);
}

/* Its first thread, when QEMU has written all of the RAM. */
static void begin_keeping(struct instance *instance, uv_work_cb work, uv_after_work_cb done)
{
    struct saved_state *state = &instance->saved_state;
    struct keeping *keeping = calloc(1, sizeof *keeping);
    if (!keeping) {
        saved_state_failed(instance, "no memory is left");
        return;
    }
    *keeping = (struct keeping){.instance = instance,
                                .fd = pi_steal_fd(&state->fd),
                                .dir_fd = pi_steal_fd(&state->dir_fd),
                                .saved = state->saved};
    state->saved = (struct vm_saved){0};
    state->step = NULL;
    state->keeping = true;
    keeping->request.data = keeping;
    instance_ref(instance);
    if (snapshot_is_saving(instance))
        snprintf(keeping->saved.layer, sizeof keeping->saved.layer, "%s", snapshot_layer(instance));
    queue_keeping(keeping, work, done);
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
        saved_state_failed(instance, keeping->failure.text);
    } else if (still) {
        uint64_t bytes = keeping->saved.ram.bytes + keeping->template_bytes;
        instance->record.saved_bytes = bytes;
        journal_note(instance, "its state is saved: %s", pi_size_format(bytes, size));
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_STATE_SAVED});
    }
    keeping_free(keeping);
}

static void end_save(struct instance *instance)
{
    begin_keeping(instance, keep_in_thread, on_kept);
}

/* Of a snapshot: the variables as long as the guest stands still, and all else when it runs again. */

static void keep_vars_in_thread(uv_work_t *request)
{
    struct keeping *keeping = request->data;
    const struct instance *instance = keeping->instance;
    keeping->result = vm_spec_uses_uefi(&instance->record.spec)
                          ? pi_file_copy(instance->dir_fd, VM_VARS_FILE, keeping->dir_fd, &keeping->failure)
                          : 0;
}

static void on_snapshot_kept(uv_work_t *request, int status)
{
    struct keeping *keeping = request->data;
    (void)status;
    keeping->instance->host->writes--;
    snapshot_kept(keeping->instance, keeping->result < 0 ? &keeping->failure : NULL);
    keeping_free(keeping);
}

static void on_vars_kept(uv_work_t *request, int status)
{
    struct keeping *keeping = request->data;
    struct instance *instance = keeping->instance;
    bool still = instance->record.life.state == VM_SAVING && !instance->detached;
    (void)status;
    instance->host->writes--;
    if (still && keeping->result == 0) {
        snapshot_goes_on(instance);
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_STATE_COPIED});
        queue_keeping(keeping, keep_in_thread, on_snapshot_kept);
        return;
    }
    if (still)
        saved_state_failed(instance, keeping->failure.text);
    keeping_free(keeping);
}

static void end_snapshot(struct instance *instance)
{
    begin_keeping(instance, keep_vars_in_thread, on_vars_kept);
}
