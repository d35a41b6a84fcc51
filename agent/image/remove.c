/* SPDX-License-Identifier: MIT */
#include "agent/image/remove.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/image/partial.h"

/* Locks the store, if nobody uses the image that is called name; the descriptor is the lock. */
static int lock_unused(const struct image_store *store, const struct image_instances *instances,
                       const char *sha256, const char *name, struct pi_error *err)
{
    json_auto_t *use = NULL;
    pi_auto_close int lock = image_use_lock(store, IMAGE_USE_LOCK_MS, err);
    if (lock < 0)
        return lock;
    int r = image_use_find(store, instances, &use, err);
    if (r == 0)
        r = image_use_check(use, sha256, name, err);
    return r < 0 ? r : pi_steal_fd(&lock);
}

int image_store_remove(const struct image_store *store, const struct image *image,
                       const struct image_instances *instances, struct pi_error *err)
{
    char file[IMAGE_STORE_NAME_MAX];
    const char *const extensions[] = {image_format_names[image->format], "json"};
    pi_auto_close int lock = lock_unused(store, instances, image->sha256, image->name, err);
    if (lock < 0)
        return lock;
    for (size_t i = 0; i < PI_ARRAY_SIZE(extensions); i++) {
        image_store_file(image->sha256, extensions[i], file);
        if (unlinkat(store->dir_fd, file, 0) < 0 && errno != ENOENT)
            return pi_fail(err, errno, "cannot remove %s", image->name);
    }
    image_use_forget(store, image->sha256);
    return pi_dir_sync(store->dir_fd, err);
}

uint64_t image_store_prune_partials(const struct image_store *store, uint64_t kept_ms, bool dry_run)
{
    return image_partial_sweep(store, kept_ms, dry_run);
}

/* 1 if the file is damaged, 0 if not, negative if it cannot be read now. The caller saw it in the folder, so
 * its provenance was published before. */
static int is_damaged(const struct image_store *store, const char *file, struct pi_error *err)
{
    pi_auto_image struct image image = {0};
    char digest[IMAGE_SHA256_LENGTH + 1], name[IMAGE_STORE_NAME_MAX];
    snprintf(digest, sizeof digest, "%s", strchr(file, '-') + 1);
    int r = image_store_find(store, digest, &image, err);
    if (r == -ENOENT || r == -EBADMSG)
        return 1;
    if (r < 0)
        return r == -EPROTONOSUPPORT ? 0 : r;
    image_store_file(image.sha256, image_format_names[image.format], name);
    return strcmp(file, name) != 0;
}

int image_store_damaged(const struct image_store *store, struct pi_strv *ret, struct pi_strv *ret_unread,
                        struct pi_error *err)
{
    pi_auto_closedir DIR *dir = image_store_folder(store, err);
    if (!dir)
        return -errno;
    for (struct dirent *entry; (entry = readdir(dir));) {
        struct pi_error why = {0};
        int r = image_store_is_image(entry->d_name) ? is_damaged(store, entry->d_name, &why) : 0;
        if (r < 0 && image_store_gives_up(r)) {
            if (err)
                *err = why;
            return r;
        }
        if (r != 0)
            r = r > 0 ? pi_strv_add(ret, entry->d_name) : pi_strv_add(ret_unread, why.text);
        if (r < 0)
            return pi_fail(err, -r, "cannot read the image store");
    }
    return 0;
}

int image_store_remove_damaged(const struct image_store *store, const char *file,
                               const struct image_instances *instances, bool dry_run, uint64_t *ret_bytes,
                               struct pi_error *err)
{
    struct stat st;
    char sha256[IMAGE_SHA256_LENGTH + 1], provenance[IMAGE_STORE_NAME_MAX];
    snprintf(sha256, sizeof sha256, "%s", strchr(file, '-') + 1);
    pi_auto_close int lock = lock_unused(store, instances, sha256, file, err);
    if (lock < 0)
        return lock;
    int r = is_damaged(store, file, err);
    if (r <= 0)
        return r < 0 ? r : pi_refuse(err, PI_CONFLICT, "%s was fetched again meanwhile", file);
    if (fstatat(store->dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return pi_fail(err, errno, "cannot remove %s", file);
    uint64_t bytes = (uint64_t)st.st_blocks * 512;
    if (!dry_run) {
        image_store_file(sha256, "json", provenance);
        r = pi_tree_remove(store->dir_fd, file, err);
        if (r < 0 || (r = pi_tree_remove(store->dir_fd, provenance, err)) < 0)
            return r;
        image_use_forget(store, sha256);
    }
    *ret_bytes = bytes;
    return 0;
}
