/* SPDX-License-Identifier: MIT */
#include "agent/vm/snapshot_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/base/text.h"

int vm_snapshot_decide(int in_fd, const char *name, struct pi_error *err)
{
    char made[PI_NAME_MAX + sizeof VM_NEW];
    snprintf(made, sizeof made, "%s" VM_NEW, name);
    if (renameat(in_fd, made, in_fd, name) < 0)
        return pi_fail(err, errno, "cannot rename %s", made);
    return pi_dir_sync(in_fd, err);
}

bool vm_restore_is_decided(int dir_fd)
{
    return faccessat(dir_fd, VM_RESTORE_FOLDER, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int move_files(DIR *from, int dir_fd, struct pi_error *err)
{
    for (struct dirent *entry; (entry = readdir(from));) {
        if (entry->d_name[0] == '.')
            continue;
        if (renameat(dirfd(from), entry->d_name, dir_fd, entry->d_name) < 0)
            return pi_fail(err, errno, "cannot replace %s", entry->d_name);
        /* If both are links to one file, rename(2) leaves both. */
        if (unlinkat(dirfd(from), entry->d_name, 0) < 0 && errno != ENOENT)
            return pi_fail(err, errno, "cannot remove " VM_RESTORE_FOLDER "/%s", entry->d_name);
    }
    return 0;
}

int vm_restore_finish(int dir_fd, struct pi_error *err)
{
    pi_auto_closedir DIR *from = pi_dir_entries(dir_fd, VM_RESTORE_FOLDER);
    if (!from)
        return errno == ENOENT ? 0 : pi_fail(err, errno, VM_RESTORE_FOLDER);
    int r = move_files(from, dir_fd, err);
    if (r == 0)
        r = pi_dir_sync(dir_fd, err);
    if (r == 0 && unlinkat(dir_fd, VM_RESTORE_FOLDER, AT_REMOVEDIR) < 0)
        r = pi_fail(err, errno, "cannot remove " VM_RESTORE_FOLDER);
    return r < 0 ? r : pi_dir_sync(dir_fd, err);
}

void vm_snapshots_sweep(int dir_fd)
{
    pi_tree_remove(dir_fd, VM_RESTORE_FOLDER VM_NEW, NULL);
    pi_auto_closedir DIR *snapshots = pi_dir_entries(dir_fd, VM_SNAPSHOTS_FOLDER);
    if (!snapshots)
        return;
    pi_temp_sweep(dirfd(snapshots));
    for (struct dirent *entry; (entry = readdir(snapshots));)
        if (pi_ends_with(entry->d_name, VM_NEW))
            pi_tree_remove(dirfd(snapshots), entry->d_name, NULL);
}
