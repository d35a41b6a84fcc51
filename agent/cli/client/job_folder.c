/* SPDX-License-Identifier: MIT */
#include "agent/cli/client/job_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/base/text.h"

#define PREFIX "piagent-job-"

/* A job that has not made its lock yet is left alone. Other users may write into /tmp. */
static void sweep_folder(int base_fd, const char *name)
{
    char path[NAME_MAX + 8];
    struct stat st;
    snprintf(path, sizeof path, "%s/lock", name);
    if (fstatat(base_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode) ||
        st.st_uid != geteuid())
        return;
    pi_auto_close int fd = openat(base_fd, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        (void)pi_tree_remove(base_fd, name, NULL);
}

static void sweep_folders(const char *base)
{
    pi_auto_closedir DIR *dir = opendir(base);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (pi_starts_with(entry->d_name, PREFIX))
            sweep_folder(dirfd(dir), entry->d_name);
}

/* The lock gets its name when it is locked: another job that begins would take it for that of a job that was killed. */
static int fill_folder(struct cli_job_folder *folder, struct pi_error *err)
{
    char path[PATH_MAX + 8], new_path[PATH_MAX + 12];
    snprintf(path, sizeof path, "%s/lock", folder->path);
    snprintf(new_path, sizeof new_path, "%s/lock.new", folder->path);
    folder->lock_fd = open(new_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (folder->lock_fd < 0 || flock(folder->lock_fd, LOCK_EX | LOCK_NB) < 0 || rename(new_path, path) < 0)
        return pi_fail(err, errno, "cannot lock %s", path);
    snprintf(path, sizeof path, "%s/run", folder->path);
    if (mkdir(path, 0700) < 0 || setenv("XDG_RUNTIME_DIR", path, 1) < 0 ||
        setenv("XDG_DATA_HOME", folder->path, 1) < 0)
        return pi_fail(err, errno, "cannot make %s", path);
    return 0;
}

int cli_job_folder_make(struct cli_job_folder *ret, struct pi_error *err)
{
    struct cli_job_folder folder = {.lock_fd = -1};
    const char *base = getenv("TMPDIR");
    if (!base || base[0] != '/')
        base = "/tmp";
    sweep_folders(base);
    snprintf(folder.path, sizeof folder.path, "%s/" PREFIX "XXXXXX", base);
    if (!mkdtemp(folder.path))
        return pi_fail(err, errno, "cannot make a folder for the job in %s (TMPDIR)", base);
    int r = fill_folder(&folder, err);
    if (r < 0)
        (void)cli_job_folder_remove(&folder, NULL);
    else
        *ret = folder;
    return r;
}

int cli_job_folder_remove(struct cli_job_folder *folder, struct pi_error *err)
{
    int r = folder->path[0] ? pi_tree_remove(AT_FDCWD, folder->path, err) : 0;
    pi_close_p(&folder->lock_fd);
    return r;
}
