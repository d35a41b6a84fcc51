/* SPDX-License-Identifier: MIT */
#include "agent/image/import.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "agent/base/auto.h"
#include "agent/image/digest.h"
#include "agent/image/space.h"
#include "agent/image/stored.h"

static int open_file(const char *path, struct stat *ret, struct pi_error *err)
{
    pi_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno == ENOENT)
        return pi_refuse(err, PI_NOT_FOUND,
                         "%s: no such file (a Fedora release is written fedora or fedora:44)", path);
    if (fd < 0 || fstat(fd, ret) < 0)
        return pi_fail(err, errno, "cannot read %s", path);
    if (!S_ISREG(ret->st_mode))
        return pi_refuse(err, PI_USAGE, "%s is not a regular file: an image is one", path);
    return pi_steal_fd(&fd);
}

/* Tells if the file with this SHA-256 may be used. */
static int judge_file(const struct image_fetch *fetch, const char *sha256, struct image *image,
                      struct pi_error *err)
{
    if (!fetch->sha256[0] && !fetch->request->unverified)
        return pi_refuse(err, PI_UNVERIFIED,
                         "%s has no published checksum; its SHA-256 is %s: compare it with the one at its "
                         "origin and give --sha256 HEX, or take it as it is with --unverified",
                         fetch->ref.text, sha256);
    if (!fetch->sha256[0])
        return 0;
    memcpy(image->sha256, fetch->sha256, sizeof image->sha256);
    image->checksum_source = IMAGE_CHECKSUM_USER;
    return strcmp(fetch->sha256, sha256) == 0 ? 0
                                              : image_refuse_wrong(image->name, image->sha256, sha256, err);
}

/* Copies fd into the partial: with shared blocks if the file system has them (ioctl_ficlone(2)), else byte by
 * byte. */
static int copy_into_partial(struct image_fetch *fetch, int fd, const struct stat *st, int to,
                             char ret_sha256[IMAGE_SHA256_LENGTH + 1], struct pi_error *err)
{
    uint64_t size_bytes = (uint64_t)st->st_size;
    image_meter_phase(&fetch->meter, IMAGE_COPYING, size_bytes);
    if (ioctl(to, FICLONE, fd) == 0)
        return image_digest_file(to, -1, size_bytes, &fetch->meter, ret_sha256, err);
    int r = image_space_check(to, (uint64_t)st->st_blocks * 512, err);
    return r < 0 ? r : image_digest_file(fd, to, size_bytes, &fetch->meter, ret_sha256, err);
}

static int copy_into_store(struct image_fetch *fetch, int fd, const struct stat *st, const char *sha256,
                           struct image *image, struct pi_error *err)
{
    pi_auto_image_partial struct image_partial partial = {.fd = -1};
    char copied[IMAGE_SHA256_LENGTH + 1];
    int r = image_partial_take(fetch->store, sha256, (uint64_t)st->st_size, &fetch->meter, &partial, err);
    if (r < 0 || (r = image_partial_reset(&partial, err)) < 0 || image_is_stored(fetch, image))
        return r;
    r = copy_into_partial(fetch, fd, st, partial.fd, copied, err);
    if (r < 0)
        return r;
    if (strcmp(sha256, copied) != 0)
        return pi_refuse(err, PI_CONFLICT,
                         "%s is being changed by another program: try again when that is done",
                         fetch->ref.text);
    return image_complete(fetch, &partial, sha256, image, err);
}

static int want_file(struct image_fetch *fetch, struct image *image, struct pi_error *err)
{
    int length;
    const char *path = fetch->ref.text, *base = image_base_name(path, &length);
    char whole[PATH_MAX];
    if (!realpath(path, whole))
        return pi_fail(err, errno, "%s", path);
    if (image_set(&image->source, whole) < 0 || image_set(&image->name, base) < 0 ||
        image_set(&image->arch, fetch->request->arch) < 0)
        return pi_fail(err, ENOMEM, "%s", path);
    return 0;
}

/* Its descriptor, with *st and the image filled in from its header. */
static int look_at_file(struct image_fetch *fetch, struct stat *st, struct image *image, struct pi_error *err)
{
    pi_auto_close int fd = open_file(fetch->ref.text, st, err);
    if (fd < 0)
        return fd;
    int r = want_file(fetch, image, err);
    if (r < 0)
        return r;
    r = image_inspect(fd, (uint64_t)st->st_size, image, err);
    return r < 0 ? pi_context(err, r, "%s", fetch->ref.text) : pi_steal_fd(&fd);
}

int image_import_expect(struct image_fetch *fetch, struct image *image, struct pi_error *err)
{
    struct stat st;
    pi_auto_close int fd = look_at_file(fetch, &st, image, err);
    if (fd < 0 || fetch->sha256[0] || fetch->request->unverified)
        return fd < 0 ? fd : 0;
    return pi_refuse(err, PI_UNVERIFIED,
                     "%s has no published checksum: give the one of its origin with --sha256 HEX, or take it "
                     "as it is with --unverified",
                     fetch->ref.text);
}

int image_import(struct image_fetch *fetch, struct image *ret, struct pi_error *err)
{
    pi_auto_image struct image image = {.schema = IMAGE_SCHEMA};
    struct stat st;
    char sha256[IMAGE_SHA256_LENGTH + 1];
    pi_auto_close int fd = look_at_file(fetch, &st, &image, err);
    int r;
    if (fd < 0)
        return fd;
    image_meter_phase(&fetch->meter, IMAGE_CHECKING, (uint64_t)st.st_size);
    if ((r = image_digest_file(fd, -1, (uint64_t)st.st_size, &fetch->meter, sha256, err)) < 0 ||
        (r = judge_file(fetch, sha256, &image, err)) < 0)
        return r;
    memcpy(image.sha256, sha256, sizeof image.sha256);
    if (!image_is_stored(fetch, &image) && (r = copy_into_store(fetch, fd, &st, sha256, &image, err)) < 0)
        return r;
    *ret = image;
    image = (struct image){0};
    return 0;
}
