#include "agent/image/care.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/image/digest.h"
#include "agent/image/partial.h"

static int open_stored(const struct image *image, struct pi_error *err)
{
    int fd = open(image->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? pi_fail(err, errno, "cannot read %s", image->path) : fd;
}

int image_store_check(const struct image_store *store, const char *sha256, struct pi_error *err)
{
    pi_auto_image struct image image = {0};
    struct image now = {0};
    int r = image_store_find(store, sha256, &image, err);
    if (r < 0)
        return r;
    pi_auto_close int fd = open_stored(&image, err);
    if (fd < 0)
        return fd;
    now.name = image.name;
    r = image_stat(fd, &now, err);
    if (r < 0)
        return r;
    if (now.mtime_ns == image.mtime_ns && now.inode == image.inode)
        return 0;
    return pi_refuse(err, PI_UNVERIFIED,
                     "the stored image %s is not the file that was checked (its modification time or inode "
                     "differs): piagent image verify %.12s hashes it again",
                     image.name, image.sha256);
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
        return pi_refuse(err, PI_UNVERIFIED,
                         "the stored image %s is damaged: expected SHA-256 %s, found %s; remove it with "
                         "piagent image rm %.12s and fetch it again",
                         image->name, image->sha256, sha256, image->sha256);
    r = image_stat(fd, image, err);
    return r < 0 ? r : image_store_record(store, image, err);
}

int image_store_remove(const struct image_store *store, const struct image *image, struct pi_error *err)
{
    char file[IMAGE_STORE_NAME_MAX];
    const char *const extensions[] = {image_format_names[image->format], "json"};
    for (size_t i = 0; i < PI_ARRAY_SIZE(extensions); i++) {
        image_store_file(image->sha256, extensions[i], file);
        if (unlinkat(store->dir_fd, file, 0) < 0 && errno != ENOENT)
            return pi_fail(err, errno, "cannot remove %s", image->name);
    }
    return pi_dir_sync(store->dir_fd, err);
}

uint64_t image_store_remove_partials(const struct image_store *store)
{
    return image_partial_sweep(store, true);
}
