/* SPDX-License-Identifier: MIT */
#include "agent/image/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/image/digest.h"
#include "agent/image/partial.h"

static int open_stored(const struct image *image, struct pi_error *err)
{
    if (!image->path)
        return pi_refuse(err, PI_NOT_FOUND, "the image %s is not in a store", image->sha256);
    int fd = open(image->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? pi_fail(err, errno, "cannot read %s", image->path) : fd;
}

int image_check_found(const struct image *image, struct pi_error *err)
{
    struct image now = {.name = image->name};
    pi_auto_close int fd = open_stored(image, err);
    int r = fd < 0 ? fd : image_stat(fd, &now, err);
    if (r < 0 || (now.mtime_ns == image->mtime_ns && now.inode == image->inode))
        return r;
    return pi_refuse(err, PI_UNVERIFIED,
                     "the stored image %s is not the file that was checked (its modification time or inode "
                     "differs): piagent image verify %.12s hashes it again",
                     image->name, image->sha256);
}

int image_check(const char *path, const char *sha256, struct pi_error *err)
{
    pi_auto_image struct image image = {0};
    pi_auto_image_store struct image_store store = {.dir_fd = -1};
    int r = image_store_open_of(path, &store, err);
    if (r == 0)
        r = image_store_find(&store, sha256, &image, err);
    return r < 0 ? r : image_check_found(&image, err);
}

static int refuse_damaged(const struct image *image, const char *found, struct pi_error *err)
{
    pi_auto_buf struct pi_buf again = {0};
    int r = image->release ? pi_buf_printf(&again, "fedora:%.*s --arch %s", (int)strcspn(image->release, " "),
                                           image->release, image->arch)
                           : pi_buf_printf(&again, "%s --sha256 %s", image->source,
                                           image->packed_sha256[0] ? image->packed_sha256 : image->sha256);
    return r < 0 ? pi_fail(err, -r, "%s", image->name)
                 : pi_refuse(err, PI_UNVERIFIED,
                             "the stored image %s is damaged: expected SHA-256 %s, found %s; piagent image "
                             "fetch %s replaces it",
                             image->name, image->sha256, found, again.data);
}

int image_store_verify(const struct image_store *store, struct image *image, struct image_meter *meter,
                       struct pi_error *err)
{
    char sha256[IMAGE_SHA256_LENGTH + 1];
    pi_auto_close int fd = open_stored(image, err);
    if (fd < 0)
        return fd;
    snprintf(meter->now.name, sizeof meter->now.name, "%s", image->name);
    image_meter_phase(meter, IMAGE_CHECKING, image->size_bytes);
    int r = image_digest_file(fd, -1, image->size_bytes, meter, sha256, err);
    if (r < 0)
        return r;
    if (strcmp(sha256, image->sha256) != 0)
        return refuse_damaged(image, sha256, err);
    r = image_stat(fd, image, err);
    return r < 0 ? r : image_store_record(store, image, err);
}
