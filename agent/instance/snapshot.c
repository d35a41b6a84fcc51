/* SPDX-License-Identifier: MIT */
#include "agent/instance/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/api/control_server.h"
#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/fs.h"
#include "agent/image/qcow2.h"
#include "agent/instance/clone_request.h"
#include "agent/instance/instance.h"
#include "agent/instance/start_files.h"
#include "agent/instance/state_load.h"
#include "agent/instance/state_save.h"
#include "agent/loop/loop.h"
#include "agent/loop/worker_process.h"
#include "agent/vm/argv.h"
#include "agent/vm/snapshot_folder.h"

#define RESTORE_RETRY_MS 1000

static int open_snapshot(const struct instance *instance, const char *tag, const char *ending)
{
    char path[NAME_MAX + 24];
    snprintf(path, sizeof path, VM_SNAPSHOTS_FOLDER "/%s%s", tag, ending);
    return openat(instance->dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/* Calls fn with the tag and the folder of each. */
static void each_snapshot(const struct instance *instance,
                          void (*fn)(const char *tag, int dir_fd, void *user), void *user)
{
    pi_auto_closedir DIR *dir = pi_dir_entries(instance->dir_fd, VM_SNAPSHOTS_FOLDER);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (pi_name_check(entry->d_name, NULL) < 0)
            continue;
        pi_auto_close int fd = open_snapshot(instance, entry->d_name, "");
        if (fd >= 0)
            fn(entry->d_name, fd, user);
    }
}

static void count_one(const char *tag, int dir_fd, void *user)
{
    unsigned *count = user;
    (void)tag;
    (void)dir_fd;
    ++*count;
}

unsigned snapshot_count(const struct instance *instance)
{
    return instance->snapshots.count;
}

static void count_snapshots(struct instance *instance)
{
    instance->snapshots.count = 0;
    each_snapshot(instance, count_one, &instance->snapshots.count);
}

void snapshot_recall(struct instance *instance)
{
    vm_snapshots_sweep(instance->dir_fd);
    count_snapshots(instance);
}

void snapshot_end(struct instance *instance)
{
    worker_cancel(pi_steal(instance->snapshots.worker), &instance->host->ending_workers);
    timer_free(pi_steal(instance->snapshots.timer));
    instance->snapshots.call = NULL; /* the server answers it */
    instance->snapshots.stage = SNAPSHOT_IDLE;
}

int snapshot_refuse_busy(const struct instance *instance, struct pi_error *err)
{
    static const char *const doing[WORKER_SNAPSHOT_ACTIONS] = {"made", "made", "restored", "removed"};
    const struct snapshots *snapshots = &instance->snapshots;
    return snapshots->stage == SNAPSHOT_IDLE
               ? 0
               : pi_refuse(err, PI_CONFLICT, "the snapshot %s of %s is being %s: try again when that is done",
                           snapshots->tag, instance->record.spec.name, doing[snapshots->action]);
}

/* The end of a job. */

/* The layer that the folder's disk stands on; 0 = the image. Negative if its disk cannot be read. */
static int disk_layer(int dir_fd, char ret[IMAGE_BACKING_MAX + 1])
{
    unsigned char header[IMAGE_BACKING_MAX + 128];
    unsigned layer = 0;
    pi_auto_close int fd = openat(dir_fd, VM_DISK_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t size = fd < 0 ? -1 : pread(fd, header, sizeof header, 0);
    if (size < 0 || image_backing_file(header, (size_t)size, ret) < 0)
        return -1;
    return sscanf(ret, VM_LAYER_FILE, &layer) == 1 ? (int)layer : 0;
}

/* A snapshot of a guest that runs has failed, and QEMU still writes to what was to become a layer: that is the disk again. */
static void take_layer_back(const struct instance *instance)
{
    const struct snapshots *snapshots = &instance->snapshots;
    char name[IMAGE_BACKING_MAX + 1];
    int layer = disk_layer(instance->dir_fd, name);
    if (snapshots->layer_before >= 0 && layer == snapshots->layer_before + 1 && !snapshots->switches)
        renameat(instance->dir_fd, name, instance->dir_fd, VM_DISK_FILE);
}

static void job_failed(struct instance *instance, const struct pi_error *err)
{
    struct snapshots *snapshots = &instance->snapshots;
    struct api_call *call = pi_steal(snapshots->call);
    vm_snapshots_sweep(instance->dir_fd);
    if (snapshots->action == WORKER_SNAPSHOT_FREEZE)
        take_layer_back(instance);
    snapshots->stage = SNAPSHOT_IDLE;
    if (call && !instance->detached)
        api_reply_error(call, err);
}

static void job_done(struct instance *instance)
{
    struct api_call *call = pi_steal(instance->snapshots.call);
    instance->snapshots.stage = SNAPSHOT_IDLE;
    count_snapshots(instance);
    store_save(instance);
    if (call && !instance->detached)
        store_answer(instance, call, 200, false);
}

static void was_taken(struct instance *instance)
{
    snprintf(instance->record.snapshot, sizeof instance->record.snapshot, "%s", instance->snapshots.tag);
    journal_note(instance, "the snapshot %s was made", instance->snapshots.tag);
    job_done(instance);
}

/* Removes the layers that the disk, which has become another, does not stand on. */
static void trim_layers(const struct instance *instance)
{
    char name[IMAGE_BACKING_MAX + 1];
    int layer = disk_layer(instance->dir_fd, name);
    for (unsigned i = (unsigned)layer + 1; layer >= 0 && i <= VM_LAYERS_MAX; i++) {
        snprintf(name, sizeof name, VM_LAYER_FILE, i);
        unlinkat(instance->dir_fd, name, 0);
    }
}

/* Until it is finished, the instance is busy: whatever its guest wrote before would be lost. */
static void finish_restore(void *user)
{
    struct instance *instance = user;
    struct snapshots *snapshots = &instance->snapshots;
    struct pi_error err;
    if (vm_restore_finish(instance->dir_fd, &err) < 0) {
        if (snapshots->stage != SNAPSHOT_MOVES)
            journal_note(instance,
                         "the restore of the snapshot %s is not finished yet: %s; piagent tries again",
                         snapshots->tag, err.text);
        snapshots->stage = SNAPSHOT_MOVES;
        timer_set(snapshots->timer, RESTORE_RETRY_MS);
        return;
    }
    timer_free(pi_steal(snapshots->timer));
    saved_state_sweep(instance);
    trim_layers(instance);
    journal_note(instance, "the snapshot %s was restored", snapshots->tag);
    job_done(instance);
}

/* Loads the record before the decision, and takes it right after: what the agent writes from then on is of the restored
 * instance. A rename that fails may have been done. */
static int decide_restore(struct instance *instance, struct pi_error *err)
{
    struct vm_record record = {0};
    struct snapshots *snapshots = &instance->snapshots;
    pi_auto_close int fd =
        openat(instance->dir_fd, VM_RESTORE_FOLDER VM_NEW, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    int r = fd < 0 ? pi_fail(err, errno, "cannot open " VM_RESTORE_FOLDER VM_NEW)
                   : vm_record_load(fd, &record, err);
    if (r == 0 && !(snapshots->timer = timer_new(instance->host->loop, finish_restore, instance)))
        r = pi_fail(err, ENOMEM, "cannot restore");
    if (r == 0) {
        r = vm_snapshot_decide(instance->dir_fd, VM_RESTORE_FOLDER, err);
        r = vm_restore_is_decided(instance->dir_fd) ? 0 : r;
    }
    if (r == 0)
        instance_replace_record(instance, &record);
    else
        timer_free(pi_steal(snapshots->timer));
    vm_record_done(&record);
    return r;
}

/* The instance's record is on disk, and nobody is writing it. */
static void restore_prepared(struct instance *instance, int result, const struct pi_error *why)
{
    struct pi_error err;
    if (result < 0)
        job_failed(instance, why);
    else if (decide_restore(instance, &err) < 0)
        job_failed(instance, &err);
    else
        finish_restore(instance);
}

static void snapshot_parent(const struct instance *instance, const char *tag, char ret[PI_NAME_MAX + 1])
{
    struct vm_record record = {0};
    pi_auto_close int fd = open_snapshot(instance, tag, "");
    ret[0] = '\0';
    if (fd >= 0 && vm_record_load(fd, &record, NULL) == 0)
        snprintf(ret, PI_NAME_MAX + 1, "%s", record.snapshot);
    vm_record_done(&record);
}

/* The disk is frozen as far as it can be without QEMU. */
static void save_frozen(struct instance *instance, const json_t *result)
{
    struct worker_snapshot_done done = {0};
    struct pi_error err;
    int r = pi_fields_read(worker_snapshot_done_fields, result, true, &done, &err);
    snprintf(instance->snapshots.layer, sizeof instance->snapshots.layer, "%s", done.layer);
    instance->snapshots.stage = SNAPSHOT_SAVES;
    if (r == 0)
        r = instance_request(instance, VM_EVENT_SNAPSHOT, &err);
    if (r < 0)
        job_failed(instance, &err);
}

static void on_snapshot_worked(int r, const json_t *result, const struct pi_error *err, void *user)
{
    struct instance *instance = user;
    struct snapshots *snapshots = &instance->snapshots;
    snapshots->worker = NULL;
    if (r < 0) {
        job_failed(instance, err);
        return;
    }
    switch (snapshots->action) {
    case WORKER_SNAPSHOT_FREEZE:
        save_frozen(instance, result);
        break;
    case WORKER_SNAPSHOT_TAKE:
        was_taken(instance);
        break;
    case WORKER_SNAPSHOT_RESTORE:
        store_save_then(instance, restore_prepared);
        break;
    default:
        if (!strcmp(instance->record.snapshot, snapshots->tag))
            memcpy(instance->record.snapshot, snapshots->parent, sizeof instance->record.snapshot);
        job_done(instance);
    }
}

bool snapshot_is_saving(const struct instance *instance)
{
    return instance->snapshots.stage == SNAPSHOT_SAVES;
}

int snapshot_open(const struct instance *instance)
{
    return open_snapshot(instance, instance->snapshots.tag, VM_NEW);
}

const char *snapshot_layer(const struct instance *instance)
{
    return instance->snapshots.layer;
}

void snapshot_note_switch(struct instance *instance, bool switches)
{
    instance->snapshots.switches = switches;
}

void snapshot_goes_on(struct instance *instance)
{
    instance->snapshots.stage = SNAPSHOT_KEEPS;
}

void snapshot_kept(struct instance *instance, const struct pi_error *err)
{
    struct pi_error failure = {0};
    pi_auto_close int fd = openat(instance->dir_fd, VM_SNAPSHOTS_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (instance->snapshots.stage != SNAPSHOT_KEEPS)
        return;
    if (err)
        job_failed(instance, err);
    else if (vm_snapshot_decide(fd, instance->snapshots.tag, &failure) < 0)
        job_failed(instance, &failure);
    else
        was_taken(instance);
}

void snapshot_broke_off(struct instance *instance, const char *why)
{
    struct pi_error err;
    if (!snapshot_is_saving(instance))
        return;
    pi_refuse(&err, PI_FAILED, "the snapshot %s of %s was not made: %s", instance->snapshots.tag,
              instance->record.spec.name, why);
    job_failed(instance, &err);
}

/* The requests. */

static int begin_job(struct instance *instance, struct api_call *call, enum worker_snapshot_action action,
                     const char *tag, bool cold, struct pi_error *err)
{
    static const struct worker_handler handler = {.done = on_snapshot_worked, .disposable = true};
    struct snapshots *snapshots = &instance->snapshots;
    char layer[IMAGE_BACKING_MAX + 1];
    const struct worker_snapshot wanted = {.folder = instance->folder,
                                           .tag = (char *)tag,
                                           .action = action,
                                           .now_ms = pi_realtime_ms(),
                                           .cold = cold};
    json_auto_t *request = pi_fields_write(worker_snapshot_fields, &wanted);
    const struct worker_job job = {
        .program = instance->host->program, .kind = WORKER_SNAPSHOT, .request = request};
    snapshots->layer_before = disk_layer(instance->dir_fd, layer);
    int r = request ? worker_start(instance->host->loop, &job, &handler, instance, &snapshots->worker, err)
                    : pi_fail(err, ENOMEM, "cannot start a worker");
    if (r < 0)
        return r;
    snapshots->stage = SNAPSHOT_WORKS;
    snapshots->switches = false;
    snapshots->action = action;
    snapshots->call = call;
    snprintf(snapshots->tag, sizeof snapshots->tag, "%s", tag);
    return 0;
}

static bool has_snapshot(const struct instance *instance, const char *tag)
{
    pi_auto_close int fd = open_snapshot(instance, tag, "");
    return fd >= 0;
}

/* Without one, the next free one of snap-1, snap-2 ... */
static int choose_tag(const struct instance *instance, const char *wanted, char ret[PI_NAME_MAX + 1],
                      struct pi_error *err)
{
    const char *name = instance->record.spec.name;
    if (instance->snapshots.count >= VM_SNAPSHOTS_MAX)
        return pi_refuse(err, PI_CONFLICT,
                         "%s has %d snapshots: remove one first: piagent snapshot rm %s TAG", name,
                         VM_SNAPSHOTS_MAX, name);
    for (unsigned i = 1; !wanted && i <= VM_SNAPSHOTS_MAX; i++) {
        snprintf(ret, PI_NAME_MAX + 1, "snap-%u", i);
        if (!has_snapshot(instance, ret))
            return 0;
    }
    int r = pi_name_check(wanted, err);
    if (r < 0)
        return r;
    snprintf(ret, PI_NAME_MAX + 1, "%s", wanted);
    return has_snapshot(instance, wanted)
               ? pi_refuse(
                     err, PI_CONFLICT,
                     "%s has a snapshot %s already: choose another tag, or remove it first: piagent snapshot "
                     "rm %s %s",
                     name, wanted, name, wanted)
               : 0;
}

/* Refuses every job while another one, a clone or an identity is under way, and for instances that have no snapshots. */
static int check_snapshots(const struct instance *instance, struct pi_error *err)
{
    const char *name = instance->record.spec.name;
    int r = snapshot_refuse_busy(instance, err);
    if (r == 0 && instance->record.spec.template)
        r = pi_refuse(err, PI_CONFLICT, "%s is a template, which has no snapshots", name);
    if (r == 0 && instance->record.identity_due)
        r = pi_refuse(err, PI_CONFLICT,
                      "%s has not taken its identity from its template yet: try again when it has", name);
    if (r == 0)
        r = creation_refuse_ephemeral(instance, "kept in a snapshot", err);
    return r < 0 ? r : clone_request_refuse_source(instance, err);
}

static int check_take(const struct instance *instance, struct pi_error *err)
{
    enum vm_state state = instance->record.life.state;
    int r = check_snapshots(instance, err);
    if (r < 0)
        return r;
    if (instance_runs(instance) || state == VM_PAUSED)
        return state_save_check(instance, err);
    return vm_state_is_live(state) ? instance_refuse(instance, err) : files_check(instance, err);
}

void snapshot_create(struct instance *instance, struct api_call *call, const char *tag)
{
    char chosen[PI_NAME_MAX + 1];
    struct pi_error err;
    bool live = vm_state_is_live(instance->record.life.state);
    int r = check_take(instance, &err);
    if (r == 0)
        r = choose_tag(instance, tag, chosen, &err);
    if (r == 0)
        r = begin_job(instance, call, live ? WORKER_SNAPSHOT_FREEZE : WORKER_SNAPSHOT_TAKE, chosen, false,
                      &err);
    if (r < 0)
        api_reply_error(call, &err);
}

static int find_snapshot(const struct instance *instance, const char *tag, struct pi_error *err)
{
    const char *name = instance->record.spec.name;
    int r = check_snapshots(instance, err);
    if (r == 0)
        r = pi_name_check(tag, err);
    if (r == 0 && !has_snapshot(instance, tag))
        r = pi_refuse(err, PI_NOT_FOUND, "%s has no snapshot %s: piagent snapshot ls %s lists them", name,
                      tag, name);
    return r;
}

static int check_restore(struct instance *instance, const char *tag, bool cold, struct pi_error *err)
{
    const char *name = instance->record.spec.name;
    struct pi_error why;
    int r = find_snapshot(instance, tag, err);
    if (r < 0)
        return r;
    if (vm_state_is_live(instance->record.life.state))
        return pi_refuse(
            err, PI_CONFLICT,
            "%s is %s, and what it does now would be lost: end it first with piagent powerdown %s, or "
            "at once with piagent kill %s",
            name, vm_state_names[instance->record.life.state], name, name);
    pi_auto_close int fd = open_snapshot(instance, tag, "");
    if (cold || state_load_check_copy(instance, fd, &why) == 0)
        return 0;
    return pi_refuse(
        err, PI_CONFLICT,
        "the memory of the snapshot %s does not fit: %s. To restore its disk alone, as after a power "
        "cut: piagent snapshot restore --cold %s %s",
        tag, why.text, name, tag);
}

void snapshot_restore(struct instance *instance, struct api_call *call, const char *tag, bool cold)
{
    struct pi_error err;
    int r = check_restore(instance, tag, cold, &err);
    if (r == 0)
        r = begin_job(instance, call, WORKER_SNAPSHOT_RESTORE, tag, cold, &err);
    if (r < 0)
        api_reply_error(call, &err);
}

void snapshot_remove(struct instance *instance, struct api_call *call, const char *tag)
{
    struct pi_error err;
    int r = find_snapshot(instance, tag, &err);
    if (r == 0) {
        snapshot_parent(instance, tag, instance->snapshots.parent);
        r = begin_job(instance, call, WORKER_SNAPSHOT_REMOVE, tag, false, &err);
    }
    if (r < 0)
        api_reply_error(call, &err);
}

/* The list. */

static uint64_t file_room(int dir_fd, const char *name)
{
    struct stat st;
    return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

/* Of the layer that was the disk, or of the copy of it. */
static uint64_t disk_room_of(int dir_fd)
{
    char layer[IMAGE_BACKING_MAX + 1];
    if (disk_layer(dir_fd, layer) < 0)
        return 0;
    return file_room(dir_fd, strchr(layer, '/') ? VM_DISK_FILE : layer);
}

struct listing {
    const struct instance *instance;
    json_t *list;
};

static void list_one(const char *tag, int dir_fd, void *user)
{
    struct listing *listing = user;
    struct vm_record record = {0};
    struct pi_error err;
    struct api_snapshot view = {.tag = (char *)tag,
                                .disk_bytes = disk_room_of(dir_fd),
                                .memory_bytes = file_room(dir_fd, VM_SAVED_RAM_FILE),
                                .current = !strcmp(listing->instance->record.snapshot, tag)};
    if (vm_record_load(dir_fd, &record, &err) < 0)
        view.reason = err.text;
    view.parent = record.snapshot[0] ? record.snapshot : NULL;
    view.taken_ms = record.taken_ms;
    json_array_append_new(listing->list, api_write(snapshot, &view));
    vm_record_done(&record);
}

json_t *snapshot_list(const struct instance *instance)
{
    struct listing listing = {instance, json_array()};
    each_snapshot(instance, list_one, &listing);
    return listing.list;
}
