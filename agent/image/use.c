/* SPDX-License-Identifier: MIT */
#include "agent/image/use.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/fields.h"
#include "agent/base/fs.h"
#include "agent/base/text.h"
#include "agent/image/checksum.h"
#include "agent/image/partial.h"

#define CHAIN_MAX    16 /* overlays upon overlays: piagent makes 9 (agent/worker/disk_clone.h) */
#define LINK_PREFIX  "use-"
#define KEY_DIGITS   16 /* the disk's path, hashed */
#define LOCK_POLL_MS 20

/* A link in the store to an instance's disk. */
struct link {
    char name[IMAGE_STORE_NAME_MAX + KEY_DIGITS];
    char disk[PATH_MAX];
};

static int name_link(const char *sha256, const char *folder, struct link *ret, struct pi_error *err)
{
    if (snprintf(ret->disk, sizeof ret->disk, "%s/" IMAGE_USE_DISK, folder) >= (int)sizeof ret->disk)
        return pi_refuse(err, PI_HOST, "%s: the path is too long", folder);
    /* Not SHA-256, which costs the agent the memory of libcrypto. */
    snprintf(ret->name, sizeof ret->name, "sha256-%.*s." LINK_PREFIX "%016" PRIx64, IMAGE_SHA256_LENGTH,
             sha256, pi_hash(ret->disk, strlen(ret->disk)));
    return 0;
}

/* Tells if the name is a link's, and of which image. */
static bool is_link(const char *name, char ret_sha256[IMAGE_SHA256_LENGTH + 1])
{
    int end = 0;
    return sscanf(name, "sha256-%64[0-9a-f]." LINK_PREFIX "%n", ret_sha256, &end) == 1 && end > 0;
}

static bool is_made(const struct image_store *store, const struct link *link)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(store->dir_fd, link->name, target, sizeof target);
    return n == (ssize_t)strlen(link->disk) && !memcmp(target, link->disk, (size_t)n);
}

int image_use_lock(const struct image_store *store, uint64_t wait_ms, struct pi_error *err)
{
    const struct timespec pause = {.tv_nsec = LOCK_POLL_MS * 1000000};
    uint64_t end_ms = pi_monotonic_ms() + wait_ms;
    /* Not the folder's: over NFS only this node would see it. */
    pi_auto_close int fd =
        openat(store->dir_fd, IMAGE_USE_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return pi_fail(err, errno, "cannot lock the image store %s", store->dir);
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return pi_fail(err, errno, "cannot lock the image store %s", store->dir);
        if (pi_monotonic_ms() >= end_ms)
            return pi_refuse(err, PI_CONFLICT,
                             "the image store %s is locked by another program, such as piagent image prune: "
                             "try again when that has ended",
                             store->dir);
        nanosleep(&pause, NULL);
    }
    return pi_steal_fd(&fd);
}

/* 0 or -errno. */
static int make_link(const struct image_store *store, const struct link *link)
{
    if (is_made(store, link))
        return 0;
    if (unlinkat(store->dir_fd, link->name, 0) < 0 && errno != ENOENT)
        return -errno;
    return symlinkat(link->disk, store->dir_fd, link->name) < 0 ? -errno : 0;
}

int image_use_add(const char *path, const char *sha256, const char *folder, struct pi_error *err)
{
    struct link link;
    pi_auto_image_store struct image_store store = {.dir_fd = -1};
    int r = name_link(sha256, folder, &link, err);
    if (r < 0 || (r = image_store_open_of(path, &store, err)) < 0)
        return r;
    pi_auto_close int lock = image_use_lock(&store, IMAGE_USE_LOCK_MS, err);
    if (lock < 0)
        return lock;
    if (access(path, F_OK) < 0)
        return pi_refuse(err, PI_NOT_FOUND, "the image %s was removed meanwhile: try again", path);
    r = make_link(&store, &link);
    return r < 0 ? pi_fail(err, -r, "cannot record the use of the image %s", path)
                 : pi_dir_sync(store.dir_fd, err);
}

void image_use_renew(const char *path, const char *sha256, const char *folder)
{
    struct link link;
    pi_auto_image_store struct image_store store = {.dir_fd = -1};
    if (access(path, F_OK) == 0 && name_link(sha256, folder, &link, NULL) == 0 &&
        image_store_open_of(path, &store, NULL) == 0)
        (void)make_link(&store, &link);
}

void image_use_drop(const char *path, const char *sha256, const char *folder)
{
    struct link link;
    pi_auto_image_store struct image_store store = {.dir_fd = -1};
    if (name_link(sha256, folder, &link, NULL) == 0 && image_store_open_of(path, &store, NULL) == 0)
        (void)unlinkat(store.dir_fd, link.name, 0);
}

void image_use_drop_any(const char *images_dir, const char *folder)
{
    char sha256[IMAGE_SHA256_LENGTH + 1];
    struct link link;
    pi_auto_image_store struct image_store store = {.dir_fd = -1};
    pi_auto_closedir DIR *dir =
        image_store_open(images_dir, &store, NULL) == 0 ? image_store_folder(&store, NULL) : NULL;
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (is_link(entry->d_name, sha256) && name_link(sha256, folder, &link, NULL) == 0 &&
            !strcmp(entry->d_name, link.name))
            (void)unlinkat(store.dir_fd, link.name, 0);
}

/* Finds the image of an overlay. */

/* The name in the header of the file at path; "" if the file stands alone. */
static int read_backing(const char *path, char ret[IMAGE_BACKING_MAX + 1])
{
    uint8_t header[IMAGE_HEADER_MAX];
    struct stat st;
    pi_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0)
        return errno == ENOTDIR ? -ENOENT : -errno;
    ssize_t n = S_ISDIR(st.st_mode) ? 0 : pread(fd, header, sizeof header, 0);
    return n < 0 ? -errno : image_backing_file(header, (size_t)n, ret);
}

/* Replaces path by what name means in the header of the file there. */
static int follow_backing(char path[PATH_MAX], const char *name)
{
    size_t folder = *name == '/' ? 0 : (size_t)(strrchr(path, '/') - path) + 1;
    if (folder + strlen(name) >= PATH_MAX)
        return -ENAMETOOLONG;
    memcpy(path + folder, name, strlen(name) + 1);
    return 0;
}

/* The stored image that a disk (absolute) stands on, at once or on other overlays. -ENOENT if there is no
 * disk, -ENODATA if it stands on none, others if that cannot be told. */
static int find_base(const char *disk, char ret_sha256[IMAGE_SHA256_LENGTH + 1])
{
    char path[PATH_MAX] = "/", name[IMAGE_BACKING_MAX + 1];
    int r = follow_backing(path, disk);
    for (int i = 0; r == 0 && i < CHAIN_MAX; i++) {
        r = read_backing(path, name);
        if (r < 0)
            return i ? -EBADMSG : r;
        if (!*name)
            return -ENODATA;
        const char *slash = strrchr(name, '/'), *file = slash ? slash + 1 : name;
        if (image_store_is_image(file)) {
            snprintf(ret_sha256, IMAGE_SHA256_LENGTH + 1, "%s", strchr(file, '-') + 1);
            return 0;
        }
        r = follow_backing(path, name);
    }
    return r < 0 ? r : -ELOOP;
}

/* Building the table of uses. */

static bool has_name(const json_t *names, const char *name)
{
    size_t i;
    json_t *known;
    json_array_foreach(names, i, known) {
        if (!strcmp(json_string_value(known), name))
            return true;
    }
    return false;
}

static int add_user(json_t *use, const char *sha256, const char *name)
{
    json_t *names = json_object_get(use, sha256);
    if (!names && json_object_set_new(use, sha256, names = json_array()) < 0)
        return -ENOMEM;
    return has_name(names, name) || json_array_append_new(names, json_string(name)) == 0 ? 0 : -ENOMEM;
}

/* The instance in that folder, by its name if it is one of ours. */
static int add_folder(json_t *use, const char *sha256, const char *folder, const char *instances)
{
    char shown[PATH_MAX];
    size_t length = strlen(instances);
    bool ours =
        pi_starts_with(folder, instances) && folder[length] == '/' && !strchr(folder + length + 1, '/');
    const char *name = ours ? folder + length + 1 : folder;
    return add_user(use, sha256, pi_text_clean(name, strlen(name), shown, sizeof shown));
}

static bool use_is_known(const json_t *use, const char *name)
{
    const char *sha256;
    json_t *names;
    json_object_foreach((json_t *)use, sha256, names) {
        if (has_name(names, name))
            return true;
    }
    return false;
}

/* Cuts off the last component. */
static char *to_parent(char *path)
{
    char *slash = strrchr(path, '/');
    slash[slash == path] = '\0';
    return path;
}

/* Tells if the disk that a link leads to needs the image. If there is no disk, the instance is being made, or
 * is gone, or its file system is not mounted: then the folder of all instances is missing too. */
static bool disk_needs(const char *disk, const char *sha256)
{
    char base[IMAGE_SHA256_LENGTH + 1], folder[PATH_MAX];
    int r = find_base(disk, base);
    if (r == 0)
        return !strcmp(base, sha256);
    if (r != -ENOENT)
        return r != -ENODATA;
    snprintf(folder, sizeof folder, "%s", disk);
    if (access(to_parent(folder), F_OK) == 0)
        return true;
    return access(to_parent(folder), F_OK) < 0;
}

static int take_link(const struct image_store *store, const char *link, const char *instances, json_t *use)
{
    char sha256[IMAGE_SHA256_LENGTH + 1], disk[PATH_MAX];
    if (!is_link(link, sha256))
        return 0;
    ssize_t n = readlinkat(store->dir_fd, link, disk, sizeof disk - 1);
    disk[n > 0 ? n : 0] = '\0';
    if (*disk != '/' || !disk_needs(disk, sha256))
        return 0;
    return add_folder(use, sha256, to_parent(disk), instances);
}

static int take_links(const struct image_store *store, const char *instances, json_t *use,
                      struct pi_error *err)
{
    int r = 0;
    pi_auto_closedir DIR *dir = image_store_folder(store, err);
    if (!dir)
        return -errno;
    for (struct dirent *entry; r == 0 && (entry = readdir(dir));)
        r = take_link(store, entry->d_name, instances, use);
    return r < 0 ? pi_fail(err, -r, "cannot read the image store") : 0;
}

static int take_records(const struct image_instances *instances, json_t *use)
{
    const char *folder;
    json_t *image;
    int r = 0;
    json_object_foreach((json_t *)instances->images, folder, image) {
        const char *sha256 = json_string_value(image);
        if (r == 0 && sha256)
            r = add_folder(use, sha256, folder, instances->folder);
    }
    return r;
}

/* The instance in a folder, which may be damaged: after all others have told what they know of it. */
static int take_instance(const char *instances, const char *name, json_t *use)
{
    char disk[PATH_MAX], base[IMAGE_SHA256_LENGTH + 1];
    if (snprintf(disk, sizeof disk, "%s/%s/" IMAGE_USE_DISK, instances, name) >= (int)sizeof disk)
        return 0;
    int stands = find_base(disk, base);
    if (stands == 0)
        return add_user(use, base, name);
    return stands == -ENOENT || stands == -ENODATA || use_is_known(use, name)
               ? 0
               : add_user(use, IMAGE_USE_UNKNOWN, name);
}

static int take_instances(const char *instances, json_t *use, struct pi_error *err)
{
    int r = 0;
    pi_auto_closedir DIR *dir = opendir(instances);
    if (!dir && errno != ENOENT)
        return pi_fail(err, errno, "cannot read %s", instances);
    for (struct dirent *entry; r == 0 && dir && (entry = readdir(dir));)
        if (entry->d_name[0] != '.')
            r = take_instance(instances, entry->d_name, use);
    return r < 0 ? pi_fail(err, -r, "cannot tell who uses images") : 0;
}

int image_use_find(const struct image_store *store, const struct image_instances *instances, json_t **ret,
                   struct pi_error *err)
{
    json_auto_t *use = json_object();
    if (!use || take_records(instances, use) < 0)
        return pi_fail(err, ENOMEM, "cannot tell who uses images");
    int r = take_links(store, instances->folder, use, err);
    if (r == 0)
        r = take_instances(instances->folder, use, err);
    if (r < 0)
        return r;
    *ret = json_incref(use);
    return 0;
}

int image_use_names(const json_t *use, const char *sha256, struct pi_buf *ret)
{
    size_t i;
    json_t *name;
    json_array_foreach(json_object_get(use, sha256), i, name) {
        int r = pi_buf_printf(ret, "%s%s", i ? ", " : "", json_string_value(name));
        if (r < 0)
            return r;
    }
    return 0;
}

int image_use_check(const json_t *use, const char *sha256, const char *name, struct pi_error *err)
{
    pi_auto_buf struct pi_buf users = {0}, unknown = {0};
    if (image_use_names(use, sha256, &users) < 0 || image_use_names(use, IMAGE_USE_UNKNOWN, &unknown) < 0)
        return pi_fail(err, ENOMEM, "cannot tell who uses %s", name);
    if (users.size)
        return pi_refuse(
            err, PI_CONFLICT, "%s is used by %s: remove that first (piagent rm)%s", name, users.data,
            strchr(users.data, '/') ? "; a folder that is gone for good is forgotten when its link in the "
                                      "image store, sha256-*.use-*, is removed"
                                    : "");
    if (unknown.size)
        return pi_refuse(
            err, PI_FAILED,
            "cannot tell which image %s uses, so none is removed: neither its disk nor its record can "
            "be read: mend one of them, or remove the instance (piagent rm)",
            unknown.data);
    return 0;
}

void image_use_forget(const struct image_store *store, const char *sha256)
{
    char of[IMAGE_SHA256_LENGTH + 1];
    pi_auto_closedir DIR *dir = image_store_folder(store, NULL);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (is_link(entry->d_name, of) && !strcmp(of, sha256))
            (void)unlinkat(store->dir_fd, entry->d_name, 0);
}
