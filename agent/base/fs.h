/* SPDX-License-Identifier: MIT */
/*
 * Files. Durable writes are temp, fsync, rename, fsync of the folder: after a crash there is the old content
 * or the new, never a part. Everything here is owned by one uid, created 0600 (files) or 0700 (folders)
 * unless a mode is given.
 */
#ifndef PIAGENT_BASE_FS_H
#define PIAGENT_BASE_FS_H

#include <dirent.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"

/* Reads a regular file of at most max bytes into ret (appended). Paths are relative to dir_fd as in
 * openat(2). -EFBIG if it is larger. */
int pi_file_read(int dir_fd, const char *path, size_t max, struct pi_buf *ret, struct pi_error *err);

/* Replaces path durably with the bytes, through a temporary file beside it. */
int pi_file_write(int dir_fd, const char *path, const void *data, size_t size, mode_t mode,
                  struct pi_error *err);

/* The same without syncing, for files that matter only until the host reboots: a crash of the host may leave
 * the old bytes, or none. */
int pi_file_replace(int dir_fd, const char *path, const void *data, size_t size, mode_t mode,
                    struct pi_error *err);

/* Copies the file of that name, of at most 256 MiB, durably into another folder. */
int pi_file_copy(int from, const char *name, int to, struct pi_error *err);

/* Writes all of it, going on after EINTR and short writes. 0 or -errno. */
int pi_write_all(int fd, const void *data, size_t size);

/* The last line that is not empty of what a log holds from that offset on, made safe to show and cut to size; "" if
 * there is none. */
void pi_last_line(int fd, off_t from, char *ret, size_t size);

/* fsync of the folder that dir_fd is. */
int pi_dir_sync(int dir_fd, struct pi_error *err);

/* Creates the folder and its missing parents, 0700. Refuses a folder that is a link, is not ours, or that
 * others may write to. */
int pi_dir_make(const char *path, struct pi_error *err);

/* The same, and opens it (O_DIRECTORY | O_CLOEXEC). The descriptor is the caller's; negative on failure. */
int pi_dir_open(const char *path, struct pi_error *err);

/* Opens a folder that exists, with the same checks; -ENOENT if it does not. */
int pi_dir_find(const char *path, struct pi_error *err);

/* Removes name and everything in it. Never follows a link. No error if it does not exist. */
int pi_tree_remove(int dir_fd, const char *name, struct pi_error *err);

/* The same for a folder that nobody may see half removed: its name is gone at once and durably, or the error
 * says why nothing has changed. It then removes the content with pi_temp_sweep(); a later sweep removes what
 * is left. */
int pi_tree_discard(int dir_fd, const char *name, struct pi_error *err);

/* Removes what a process that was killed in pi_file_write() or pi_tree_discard() left in the folder. Nobody
 * else may be writing there. */
void pi_temp_sweep(int dir_fd);

/* Opens a folder to list it, never through a link. The caller closes it. NULL with errno. */
DIR *pi_dir_entries(int dir_fd, const char *name);

/* Bytes that an unprivileged user may still write on the file system that holds path. */
int pi_space_free(const char *path, uint64_t *ret_bytes, struct pi_error *err);

#endif
