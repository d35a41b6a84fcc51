/* SPDX-License-Identifier: MIT */
#include "agent/base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "agent/base/auto.h"
#include "agent/base/random.h"
#include "agent/base/text.h"

#define TEMP_HEX      8
#define COPY_MAX      ((off_t)256 << 20)
#define LAST_LINE_MAX 2048 /* bytes, with the empty lines behind it */

int pi_file_read(int dir_fd, const char *path, size_t max, struct pi_buf *ret, struct pi_error *err)
{
    pi_auto_close int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return errno == ENOENT ? pi_refuse(err, PI_NOT_FOUND, "%s: no such file", path)
                               : pi_fail(err, errno, "%s", path);
    if (!S_ISREG(st.st_mode))
        return pi_refuse(err, PI_USAGE, "%s: not a regular file", path);

    pi_auto_buf struct pi_buf got = {.max = max};
    char chunk[16384];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return pi_fail(err, errno, "%s", path);
        if (n == 0)
            break;
        int r = pi_buf_add(&got, chunk, (size_t)n);
        if (r == -E2BIG) {
            pi_refuse(err, PI_USAGE, "%s: larger than %zu bytes", path, max);
            return -EFBIG;
        }
        if (r < 0)
            return pi_fail(err, -r, "%s", path);
    }
    int r = pi_buf_add(ret, got.data, got.size);
    return r < 0 ? pi_fail(err, -r, "%s", path) : 0;
}

int pi_write_all(int fd, const void *data, size_t size)
{
    const char *p = data;
    while (size) {
        ssize_t n = write(fd, p, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        p += n;
        size -= (size_t)n;
    }
    return 0;
}

void pi_last_line(int fd, off_t from, char *ret, size_t size)
{
    char tail[LAST_LINE_MAX];
    struct stat st;
    ret[0] = '\0';
    if (fstat(fd, &st) < 0)
        return;
    off_t last = st.st_size - (off_t)sizeof tail;
    ssize_t n = pread(fd, tail, sizeof tail, last > from ? last : from);
    size_t end = n > 0 ? (size_t)n : 0, start;
    while (end && tail[end - 1] == '\n')
        end--;
    for (start = end; start && tail[start - 1] != '\n'; start--)
        ;
    pi_text_clean(tail + start, end - start, ret, size);
}

int pi_dir_sync(int dir_fd, struct pi_error *err)
{
    /* O_PATH descriptors and some network file systems cannot be synced. The write itself did not fail. */
    if (fsync(dir_fd) < 0 && errno != EINVAL && errno != EBADF)
        return pi_fail(err, errno, "cannot sync a folder");
    return 0;
}

/* ".NAME.HEX" beside the path: a file of such a name may be incomplete, and can always be removed. */
static int temp_name(const char *path, int head, char ret[PATH_MAX], struct pi_error *err)
{
    char suffix[PI_HEX_MAX + 1];
    int r = pi_random_hex(TEMP_HEX, suffix);
    if (r < 0)
        return pi_fail(err, -r, "no random bytes");
    if (snprintf(ret, PATH_MAX, "%.*s.%s.%s", head, path, path + head, suffix) >= PATH_MAX)
        return pi_fail(err, ENAMETOOLONG, "%s", path);
    return 0;
}

static bool is_temp_name(const char *name)
{
    size_t length = strlen(name);
    const char *suffix = length > TEMP_HEX + 2 ? name + length - TEMP_HEX : name;
    return name[0] == '.' && suffix > name && suffix[-1] == '.' &&
           strspn(suffix, "0123456789abcdef") == TEMP_HEX;
}

/* What is written to a file: the bytes of the file fd, or, if fd is -1, those of data. */
struct fs_content {
    int fd;
    const void *data;
    size_t size;
};

static int write_content(int fd, const struct fs_content *content)
{
    if (content->fd == -1)
        return pi_write_all(fd, content->data, content->size);
    for (size_t left = content->size; left;) {
        ssize_t n = sendfile(fd, content->fd, NULL, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO; /* it has become shorter */
        left -= (size_t)n;
    }
    return 0;
}

static int replace_file(int dir_fd, const char *path, const struct fs_content *content, mode_t mode,
                        bool durable, struct pi_error *err)
{
    char temp[PATH_MAX], folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int head = slash ? (int)(slash - path + 1) : 0;
    int r = temp_name(path, head, temp, err);
    if (r < 0)
        return r;
    snprintf(folder, sizeof folder, "%.*s", head, path);

    pi_auto_close int folder_fd = openat(dir_fd, head ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_fd < 0)
        return pi_fail(err, errno, "cannot write %s", path);
    pi_auto_close int fd = openat(dir_fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return pi_fail(err, errno, "cannot write %s", path);
    r = write_content(fd, content);
    if (r == 0 &&
        (fchmod(fd, mode) < 0 || (durable && fsync(fd) < 0) || renameat(dir_fd, temp, dir_fd, path) < 0))
        r = -errno;
    if (r < 0) {
        unlinkat(dir_fd, temp, 0);
        return pi_fail(err, -r, "cannot write %s", path);
    }
    return durable ? pi_dir_sync(folder_fd, err) : 0;
}

int pi_file_write(int dir_fd, const char *path, const void *data, size_t size, mode_t mode,
                  struct pi_error *err)
{
    return replace_file(dir_fd, path, &(struct fs_content){-1, data, size}, mode, true, err);
}

int pi_file_replace(int dir_fd, const char *path, const void *data, size_t size, mode_t mode,
                    struct pi_error *err)
{
    return replace_file(dir_fd, path, &(struct fs_content){-1, data, size}, mode, false, err);
}

int pi_file_copy(int from, const char *name, int to, struct pi_error *err)
{
    struct stat st;
    pi_auto_close int fd = openat(from, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) < 0)
        return pi_fail(err, errno, "%s", name);
    if (st.st_size > COPY_MAX)
        return pi_refuse(err, PI_HOST, "%s: larger than %lld bytes", name, (long long)COPY_MAX);
    return replace_file(to, name, &(struct fs_content){fd, NULL, (size_t)st.st_size}, 0600, true, err);
}

static int check_owned(int fd, const char *path, struct pi_error *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return pi_fail(err, errno, "%s", path);
    if (st.st_uid != geteuid())
        return pi_refuse(
            err, PI_HOST,
            "%s belongs to another user: move it away, or set the XDG variables to a folder of yours", path);
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return pi_refuse(err, PI_HOST, "%s can be written by others: chmod go-w it first", path);
    return 0;
}

/* Drops slashes at the end: with one, open() would follow a link in spite of O_NOFOLLOW. */
static int copy_path(const char *path, char ret[PATH_MAX], struct pi_error *err)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    if (length >= PATH_MAX)
        return pi_fail(err, ENAMETOOLONG, "%s", path);
    memcpy(ret, path, length);
    ret[length] = '\0';
    return 0;
}

int pi_dir_open(const char *path, struct pi_error *err)
{
    char part[PATH_MAX];
    int r = copy_path(path, part, err);
    if (r < 0)
        return r;
    for (size_t i = 1, length = strlen(part); i <= length; i++) {
        char after = part[i];
        if (after != '/' && after != '\0')
            continue;
        part[i] = '\0';
        if (mkdir(part, 0700) < 0 && errno != EEXIST)
            return pi_fail(err, errno, "cannot create %s", part);
        part[i] = after;
    }
    return pi_dir_find(part, err);
}

int pi_dir_find(const char *path, struct pi_error *err)
{
    char whole[PATH_MAX];
    int r = copy_path(path, whole, err);
    if (r < 0)
        return r;
    pi_auto_close int fd = open(whole, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
        return pi_refuse(
            err, PI_HOST,
            "%s is a link or a file, not a folder: move it away, or set the XDG variables to a folder of yours",
            path);
    if (fd < 0)
        return pi_fail(err, errno, "%s", path);
    r = check_owned(fd, path, err);
    return r < 0 ? r : pi_steal_fd(&fd);
}

int pi_dir_make(const char *path, struct pi_error *err)
{
    pi_auto_close int fd = pi_dir_open(path, err);
    return fd < 0 ? fd : 0;
}

DIR *pi_dir_entries(int dir_fd, const char *name)
{
    pi_auto_close int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir)
        pi_steal_fd(&fd);
    return dir;
}

static int remove_tree(int dir_fd, const char *name, struct pi_error *err)
{
    if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return pi_fail(err, errno, "cannot remove %s", name);

    pi_auto_closedir DIR *dir = pi_dir_entries(dir_fd, name);
    if (!dir)
        return pi_fail(err, errno, "cannot remove %s", name);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        int r = remove_tree(dirfd(dir), entry->d_name, err);
        if (r < 0)
            return pi_context(err, r, "%s", name);
    }
    if (unlinkat(dir_fd, name, AT_REMOVEDIR) < 0)
        return pi_fail(err, errno, "cannot remove %s", name);
    return 0;
}

int pi_tree_remove(int dir_fd, const char *name, struct pi_error *err)
{
    int r = 0;
    /* A program that was just killed may have added a file in its last moment. */
    for (int tries = 0; tries < 3; tries++)
        if ((r = remove_tree(dir_fd, name, err)) != -ENOTEMPTY)
            break;
    return r;
}

void pi_temp_sweep(int dir_fd)
{
    pi_auto_closedir DIR *dir = pi_dir_entries(dir_fd, ".");
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (is_temp_name(entry->d_name))
            pi_tree_remove(dir_fd, entry->d_name, NULL);
}

int pi_tree_discard(int dir_fd, const char *name, struct pi_error *err)
{
    char temp[PATH_MAX];
    int r = temp_name(name, 0, temp, err);
    if (r < 0)
        return r;
    if (renameat(dir_fd, name, dir_fd, temp) < 0)
        return errno == ENOENT ? 0 : pi_fail(err, errno, "cannot remove %s", name);
    if ((r = pi_dir_sync(dir_fd, err)) < 0) {
        renameat(dir_fd, temp, dir_fd, name);
        return pi_context(err, r, "cannot remove %s", name);
    }
    pi_temp_sweep(dir_fd);
    return 0;
}

int pi_space_free(const char *path, uint64_t *ret_bytes, struct pi_error *err)
{
    struct statvfs fs;
    if (statvfs(path, &fs) < 0)
        return pi_fail(err, errno, "%s", path);
    *ret_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    return 0;
}
