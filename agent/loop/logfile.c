/* SPDX-License-Identifier: MIT */
#include "agent/loop/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"

static int open_part(int dir_fd, const char *name, const char *suffix, int flags, uint64_t *ret_size)
{
    char path[64];
    struct stat st;
    snprintf(path, sizeof path, "%s%s", name, suffix);
    pi_auto_close int fd = openat(dir_fd, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    *ret_size = (uint64_t)st.st_size;
    return pi_steal_fd(&fd);
}

int logfile_open(int dir_fd, const char *name, size_t max, struct logfile *ret, struct pi_error *err)
{
    struct logfile log = {.dir_fd = dir_fd, .max = max};
    uint64_t size = 0;
    snprintf(log.name, sizeof log.name, "%s", name);
    log.fd = open_part(dir_fd, name, "", O_CREAT, &size);
    if (log.fd < 0)
        return pi_fail(err, -log.fd, "cannot open %s", name);
    log.old_fd = open_part(dir_fd, name, ".1", 0, &log.old_size);
    if (log.old_fd < 0)
        log.old_fd = -1;
    log.start = log.old_fd < 0 ? 0 : log.old_size;
    log.end = log.start + size;
    *ret = log;
    return 0;
}

void logfile_close(struct logfile *log)
{
    pi_close_p(&log->fd);
    pi_close_p(&log->old_fd);
    *log = LOGFILE_NONE;
}

static int rotate(struct logfile *log)
{
    char old[64];
    uint64_t size;
    snprintf(old, sizeof old, "%s.1", log->name);
    if (renameat(log->dir_fd, log->name, log->dir_fd, old) < 0)
        return -errno;
    int fd = open_part(log->dir_fd, log->name, "", O_CREAT | O_TRUNC, &size);
    if (fd < 0) {
        renameat(log->dir_fd, old, log->dir_fd, log->name);
        return fd;
    }
    pi_close_p(&log->old_fd);
    log->old_fd = log->fd;
    log->old_size = log->end - log->start;
    log->fd = fd;
    log->start = log->end;
    return 0;
}

int logfile_append(struct logfile *log, const void *data, size_t size)
{
    uint64_t used = log->end - log->start;
    if (used && used + size > log->max) {
        int r = rotate(log);
        if (r < 0)
            return r;
        used = 0;
    }
    ssize_t n;
    do
        n = pwrite(log->fd, data, size, (off_t)used);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    if ((size_t)n < size) {
        /* A part must not be there when the log is opened again; the next addition begins here in any case.
         */
        if (ftruncate(log->fd, (off_t)used) < 0)
            return -errno;
        return -ENOSPC;
    }
    log->end += size;
    return 0;
}

uint64_t logfile_oldest(const struct logfile *log)
{
    return log->old_fd < 0 ? log->start : log->start - log->old_size;
}

size_t logfile_read(const struct logfile *log, uint64_t *offset, char *buf, size_t max)
{
    if (*offset < logfile_oldest(log))
        *offset = logfile_oldest(log);
    bool old = *offset < log->start;
    uint64_t end = old ? log->start : log->end;
    uint64_t base = old ? log->start - log->old_size : log->start;
    if (*offset >= end)
        return 0;
    if (max > end - *offset)
        max = (size_t)(end - *offset);
    ssize_t n = pread(old ? log->old_fd : log->fd, buf, max, (off_t)(*offset - base));
    if (n <= 0) {
        /* It can't be read: passed over, so that no reader turns in circles. */
        *offset = end;
        return 0;
    }
    *offset += (uint64_t)n;
    return (size_t)n;
}
