/* SPDX-License-Identifier: MIT */
/* The worker "snapshot": makes and removes a snapshot, and prepares the restore of one, in an instance's folder (vm/snapshot_folder.h). */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/vm/record.h"
#include "agent/vm/saved.h"
#include "agent/vm/snapshot_folder.h"
#include "agent/worker/disk_clone.h"
#include "agent/worker/protocol.h"
#include "agent/worker/worker_main.h"

/* Of a snapshot that is worked on. */
struct snapshot_job {
    const struct worker_snapshot *wanted;
    int folder_fd, snapshots_fd, from_fd, new_fd;
    char from[PATH_MAX], new[PATH_MAX]; /* the folder that the files come of, and the one that gets them */
    struct vm_record own;               /* of the instance */
    char layer[DISK_LAYER_SIZE];
};

static int open_folders(struct snapshot_job *job, struct pi_error *err)
{
    const char *folder = job->wanted->folder;
    job->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (job->folder_fd < 0)
        return pi_fail(err, errno, "cannot open %s", folder);
    if (mkdirat(job->folder_fd, VM_SNAPSHOTS_FOLDER, 0700) < 0 && errno != EEXIST)
        return pi_fail(err, errno, "cannot create %s/" VM_SNAPSHOTS_FOLDER, folder);
    job->snapshots_fd =
        openat(job->folder_fd, VM_SNAPSHOTS_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (job->snapshots_fd < 0)
        return pi_fail(err, errno, "cannot open %s/" VM_SNAPSHOTS_FOLDER, folder);
    return vm_record_load(job->folder_fd, &job->own, err);
}

/* Opens the folder that the files come of, and makes the one that gets them, without what an earlier try left in it. */
static int open_ends(struct snapshot_job *job, int new_in_fd, struct pi_error *err)
{
    const char *name = strrchr(job->new, '/') + 1;
    job->from_fd = open(job->from, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (job->from_fd < 0)
        return pi_fail(err, errno, "cannot open %s", job->from);
    int r = pi_tree_remove(new_in_fd, name, err);
    if (r == 0 && mkdirat(new_in_fd, name, 0700) < 0)
        r = pi_fail(err, errno, "cannot create %s", job->new);
    if (r < 0)
        return r;
    job->new_fd = openat(new_in_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return job->new_fd < 0 ? pi_fail(err, errno, "cannot open %s", job->new) : 0;
}

static int copy_state(const struct snapshot_job *job, struct pi_error *err)
{
    if (faccessat(job->from_fd, VM_SAVED_RAM_FILE, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
        return 0;
    int r = worker_share_file(job->from, job->new, VM_SAVED_RAM_FILE, err);
    return r < 0 ? r : vm_saved_copy(job->from_fd, job->new_fd, job->layer, err);
}

static int take_snapshot(struct snapshot_job *job, struct pi_error *err)
{
    const struct worker_snapshot *wanted = job->wanted;
    bool live = wanted->action == WORKER_SNAPSHOT_FREEZE;
    snprintf(job->from, sizeof job->from, "%s", wanted->folder);
    snprintf(job->new, sizeof job->new, "%s/" VM_SNAPSHOTS_FOLDER "/%s" VM_NEW, wanted->folder, wanted->tag);
    int r = open_ends(job, job->snapshots_fd, err);
    if (r == 0)
        r = disk_keep(&job->own.spec, live ? DISK_LIVE : DISK_AT_REST, job->from, job->new, job->layer, err);
    if (r == 0 && !live)
        r = copy_state(job, err);
    job->own.taken_ms = wanted->now_ms;
    if (r == 0)
        r = vm_record_save(job->new_fd, &job->own, err);
    if (r == 0)
        r = worker_sync_all(job->new_fd, err);
    if (r == 0 && !live)
        r = vm_snapshot_decide(job->snapshots_fd, wanted->tag, err);
    return r == 0 ? pi_dir_sync(job->folder_fd, err) : r; /* snapshots/ itself may be new */
}

/* The record of the instance after the restore: what it is stays, and what its guest was doing is the snapshot's. */
static void merge_records(struct snapshot_job *job, struct vm_record *then, bool with_state)
{
    const struct vm_life *life = &then->life;
    bool ready = life->state == VM_READY || life->was_ready;
    const struct vm_spec spec = then->spec;
    then->spec = job->own.spec;
    job->own.spec = spec;
    then->life = with_state ? (struct vm_life){.state = VM_SAVED, .was_ready = ready}
                            : (struct vm_life){.state = VM_STOPPED};
    then->stopped_ms = then->taken_ms;
    then->taken_ms = then->pid = then->start_ticks = 0;
    then->created_ms = job->own.created_ms;
    memcpy(then->peers_key, job->own.peers_key, sizeof then->peers_key);
    memcpy(then->join_secret, job->own.join_secret, sizeof then->join_secret);
    snprintf(then->snapshot, sizeof then->snapshot, "%s", job->wanted->tag);
}

static int write_restored(struct snapshot_job *job, struct pi_error *err)
{
    struct vm_record then = {0};
    struct stat st = {0};
    int r = vm_record_load(job->from_fd, &then, err);
    if (r < 0)
        return r;
    bool with_state = fstatat(job->new_fd, VM_SAVED_RAM_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0;
    merge_records(job, &then, with_state);
    then.saved_bytes = with_state ? (uint64_t)st.st_size : 0;
    r = vm_record_save(job->new_fd, &then, err);
    vm_record_done(&then);
    return r;
}

/* The agent decides it (instance/snapshot.c). */
static int restore_snapshot(struct snapshot_job *job, struct pi_error *err)
{
    const struct worker_snapshot *wanted = job->wanted;
    snprintf(job->from, sizeof job->from, "%s/" VM_SNAPSHOTS_FOLDER "/%s", wanted->folder, wanted->tag);
    snprintf(job->new, sizeof job->new, "%s/" VM_RESTORE_FOLDER VM_NEW, wanted->folder);
    int r = open_ends(job, job->folder_fd, err);
    if (r == 0)
        r = disk_keep(&job->own.spec, DISK_AT_REST, job->from, job->new, job->layer, err);
    if (r == 0 && !wanted->cold)
        r = copy_state(job, err);
    if (r == 0)
        r = write_restored(job, err);
    if (r == 0)
        r = worker_sync_all(job->new_fd, err);
    return r == 0 ? pi_dir_sync(job->folder_fd, err) : r;
}

/* Those that stood on the snapshot stand on its parent. */
static int pass_on_child(const struct snapshot_job *job, const char *child, const char *parent,
                         struct pi_error *err)
{
    struct vm_record record = {0};
    pi_auto_close int fd = openat(job->snapshots_fd, child, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    int r = fd < 0 ? pi_fail(err, errno, "cannot open %s", child) : vm_record_load(fd, &record, err);
    if (r == 0 && !strcmp(record.snapshot, job->wanted->tag)) {
        snprintf(record.snapshot, sizeof record.snapshot, "%s", parent);
        r = vm_record_save(fd, &record, err);
    }
    vm_record_done(&record);
    return r;
}

static int pass_on_children(const struct snapshot_job *job, const char *parent, struct pi_error *err)
{
    int r = 0;
    pi_auto_closedir DIR *dir = pi_dir_entries(job->folder_fd, VM_SNAPSHOTS_FOLDER);
    if (!dir)
        return pi_fail(err, errno, VM_SNAPSHOTS_FOLDER);
    for (struct dirent *entry; r == 0 && (entry = readdir(dir));)
        if (pi_name_check(entry->d_name, NULL) == 0 && strcmp(entry->d_name, job->wanted->tag) != 0)
            r = pass_on_child(job, entry->d_name, parent, err);
    return r;
}

/* A snapshot whose record cannot be read can be removed, too. */
static int remove_snapshot(struct snapshot_job *job, struct pi_error *err)
{
    struct vm_record record = {0};
    const char *tag = job->wanted->tag;
    pi_auto_close int fd = openat(job->snapshots_fd, tag, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    int r = fd < 0 || vm_record_load(fd, &record, NULL) < 0 ? 0 : pass_on_children(job, record.snapshot, err);
    vm_record_done(&record);
    return r < 0 ? r : pi_tree_discard(job->snapshots_fd, tag, err);
}

static int run_action(struct snapshot_job *job, struct pi_error *err)
{
    static int (*const actions[])(struct snapshot_job * job, struct pi_error * err) = {
        [WORKER_SNAPSHOT_TAKE] = take_snapshot,
        [WORKER_SNAPSHOT_FREEZE] = take_snapshot,
        [WORKER_SNAPSHOT_RESTORE] = restore_snapshot,
        [WORKER_SNAPSHOT_REMOVE] = remove_snapshot,
    };
    int r = open_folders(job, err);
    return r < 0 ? r : actions[job->wanted->action](job, err);
}

int worker_run_snapshot(const json_t *request, json_t **ret_result, struct pi_error *err)
{
    struct worker_snapshot wanted = {0};
    struct worker_snapshot_done done = {0};
    struct snapshot_job job = {
        .wanted = &wanted, .folder_fd = -1, .snapshots_fd = -1, .from_fd = -1, .new_fd = -1};
    int r = pi_fields_read(worker_snapshot_fields, request, false, &wanted, err);
    if (r == 0)
        r = run_action(&job, err);
    memcpy(done.layer, job.layer, sizeof job.layer);
    *ret_result = r == 0 ? pi_fields_write(worker_snapshot_done_fields, &done) : NULL;
    int *const fds[] = {&job.folder_fd, &job.snapshots_fd, &job.from_fd, &job.new_fd};
    for (size_t i = 0; i < PI_ARRAY_SIZE(fds); i++)
        pi_close_p(fds[i]);
    vm_record_done(&job.own);
    pi_fields_done(worker_snapshot_fields, &wanted);
    return r;
}
