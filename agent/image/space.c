/* SPDX-License-Identifier: MIT */
#include "agent/image/space.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "agent/base/text.h"

#define MAKE_ROOM "make room (piagent image prune), or set XDG_CACHE_HOME to a folder on a larger disk"

int image_space_full(struct pi_error *err)
{
    return pi_refuse(err, PI_HOST, "the disk is full: " MAKE_ROOM);
}

int image_space_check(int fd, uint64_t bytes, struct pi_error *err)
{
    struct statvfs fs;
    char need[32], missing[32];
    if (fstatvfs(fd, &fs) < 0)
        return pi_fail(err, errno, "cannot see the free disk space");
    uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (bytes <= free_bytes)
        return 0;
    return pi_refuse(err, PI_HOST, "the image needs %s of disk space, %s more than is free: " MAKE_ROOM,
                     pi_size_format(bytes, need), pi_size_format(bytes - free_bytes, missing));
}

int image_space_reserve(int fd, uint64_t total_bytes, struct pi_error *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return pi_fail(err, errno, "cannot see the free disk space");
    uint64_t have = (uint64_t)st.st_blocks * 512;
    int r = total_bytes > have ? image_space_check(fd, total_bytes - have, err) : 0;
    if (r < 0 || !total_bytes || fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)total_bytes) == 0)
        return r;
    if (errno == ENOSPC || errno == EDQUOT)
        return image_space_full(err);
    return 0; /* the file system cannot reserve: the check above must do */
}
