/* SPDX-License-Identifier: MIT */
#include "agent/image/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/base/text.h"
#include "agent/image/checksum.h"
#include "agent/image/partial.h"
#include "agent/image/ref.h"

#define PROVENANCE_MAX 65536u
#define PREFIX         "sha256-"

int image_store_open(const char *images_dir, struct image_store *ret, struct pi_error *err)
{
    pi_auto_close int fd = pi_dir_open(images_dir, err);
    if (fd < 0)
        return pi_context(err, fd, "cannot open the image store");
    char *dir = strdup(images_dir);
    if (!dir)
        return pi_fail(err, ENOMEM, "cannot open the image store");
    *ret = (struct image_store){.dir_fd = pi_steal_fd(&fd), .dir = dir};
    return 0;
}

int image_store_open_of(const char *path, struct image_store *ret, struct pi_error *err)
{
    const char *slash = strrchr(path, '/');
    pi_auto_free char *dir = slash ? strndup(path, (size_t)(slash - path)) : NULL;
    return dir ? image_store_open(dir, ret, err) : pi_fail(err, slash ? ENOMEM : EINVAL, "%s", path);
}

void image_store_done(struct image_store *store)
{
    pi_close_p(&store->dir_fd);
    free(store->dir);
    *store = (struct image_store){.dir_fd = -1};
}

void image_store_file(const char *sha256, const char *extension, char ret[IMAGE_STORE_NAME_MAX])
{
    snprintf(ret, IMAGE_STORE_NAME_MAX, PREFIX "%s.%s", sha256, extension);
}

bool image_store_is_image(const char *file)
{
    size_t digits = strlen(PREFIX) + IMAGE_SHA256_LENGTH;
    if (!pi_starts_with(file, PREFIX) || strlen(file) <= digits || file[digits] != '.')
        return false;
    for (size_t i = 0; image_format_names[i]; i++)
        if (!strcmp(file + digits + 1, image_format_names[i]))
            return true;
    return false;
}

/* Tells if the stored file is as its provenance says; sets path then. */
static int locate_file(const struct image_store *store, struct image *image, struct pi_error *err)
{
    char file[IMAGE_STORE_NAME_MAX];
    struct stat st;
    image_store_file(image->sha256, image_format_names[image->format], file);
    if (fstatat(store->dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
        (uint64_t)st.st_size != image->size_bytes)
        return pi_refuse(err, PI_NOT_FOUND, "the store has no complete image %s", image->sha256);
    free(image->path);
    if (asprintf(&image->path, "%s/%s", store->dir, file) < 0) {
        image->path = NULL;
        return pi_fail(err, ENOMEM, "cannot read the image store");
    }
    return 0;
}

/* A provenance of schema 1, of the image with that digest. */
static int read_provenance(const struct pi_buf *text, const char *digest, struct image *ret,
                           struct pi_error *err)
{
    json_auto_t *object = pi_json_parse(text->data ? text->data : "", text->size, err);
    json_int_t schema = json_integer_value(json_object_get(object, "schema"));
    if (schema > IMAGE_SCHEMA) {
        pi_refuse(err, PI_FAILED, "a newer piagent wrote it (schema %" JSON_INTEGER_FORMAT "): use that one",
                  schema);
        return -EPROTONOSUPPORT;
    }
    int r = object ? pi_fields_read(image_fields, object, true, ret, err) : -EBADMSG;
    if (r == 0 && strcmp(ret->sha256, digest) != 0)
        r = pi_refuse(err, PI_FAILED, "it describes another image");
    return r < 0 && r != -ENOMEM ? -EBADMSG : r;
}

int image_store_find(const struct image_store *store, const char *sha256, struct image *ret,
                     struct pi_error *err)
{
    char digest[IMAGE_SHA256_LENGTH + 1], file[IMAGE_STORE_NAME_MAX];
    pi_auto_image struct image image = {0};
    pi_auto_buf struct pi_buf text = {0};
    int r = image_sha256_parse(sha256, digest, err);
    if (r < 0)
        return r;
    image_store_file(digest, "json", file);
    r = pi_file_read(store->dir_fd, file, PROVENANCE_MAX, &text, err);
    if (r == -ENOENT)
        return pi_refuse(err, PI_NOT_FOUND, "the store has no image %s", digest);
    if (r == -EFBIG || r == -EINVAL) { /* too large, or no regular file */
        pi_refuse(err, PI_FAILED, "%s/%s is not the provenance of an image", store->dir, file);
        return -EBADMSG;
    }
    if (r < 0)
        return pi_context(err, r, "%s", store->dir);
    r = read_provenance(&text, digest, &image, err);
    if (r < 0)
        return pi_context(err, r, "%s/%s", store->dir, file);
    r = locate_file(store, &image, err);
    if (r < 0)
        return r;
    *ret = image;
    image = (struct image){0};
    return 0;
}

bool image_store_gives_up(int r)
{
    return r == -ENOMEM || r == -EMFILE || r == -ENFILE || r == -EIO;
}

int image_store_record(const struct image_store *store, const struct image *image, struct pi_error *err)
{
    struct image kept = *image; /* borrows: only what is kept on disk */
    char file[IMAGE_STORE_NAME_MAX];
    kept.path = NULL;
    kept.note = NULL;
    json_auto_t *object = pi_fields_write(image_fields, &kept);
    pi_auto_free char *text = object ? json_dumps(object, JSON_INDENT(2)) : NULL;
    if (!text)
        return pi_fail(err, ENOMEM, "cannot record the image");
    image_store_file(image->sha256, "json", file);
    return pi_file_write(store->dir_fd, file, text, strlen(text), 0600, err);
}

static int list_add(struct image_list *list, struct image *image, struct pi_error *err)
{
    struct image *items = reallocarray(list->items, list->count + 1, sizeof *items);
    if (!items)
        return pi_fail(err, ENOMEM, "cannot list the images");
    list->items = items;
    list->items[list->count++] = *image;
    *image = (struct image){0};
    return 0;
}

static int last_fetched_first(const void *a, const void *b)
{
    const struct image *x = a, *y = b;
    if (x->fetched_ms != y->fetched_ms)
        return x->fetched_ms < y->fetched_ms ? 1 : -1;
    return strcmp(x->sha256, y->sha256);
}

int image_store_list(const struct image_store *store, struct image_list *ret, struct pi_error *err)
{
    pi_auto_image_list struct image_list list = {0};
    pi_auto_closedir DIR *dir = image_store_folder(store, err);
    if (!dir)
        return -errno;
    for (struct dirent *entry; (entry = readdir(dir));) {
        pi_auto_image struct image image = {0};
        char digest[IMAGE_SHA256_LENGTH + 1];
        if (!pi_starts_with(entry->d_name, PREFIX))
            continue;
        snprintf(digest, sizeof digest, "%s", entry->d_name + strlen(PREFIX));
        if (strcmp(entry->d_name + strlen(PREFIX) + strlen(digest), ".json") != 0)
            continue;
        int r = image_store_find(store, digest, &image, err);
        if (r < 0 && !image_store_gives_up(r))
            continue;
        if (r < 0 || (r = list_add(&list, &image, err)) < 0)
            return r;
    }
    if (list.count)
        qsort(list.items, list.count, sizeof *list.items, last_fetched_first);
    *ret = list;
    list = (struct image_list){0};
    return 0;
}

void image_list_done(struct image_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        image_done(&list->items[i]);
    free(list->items);
    *list = (struct image_list){0};
}

DIR *image_store_folder(const struct image_store *store, struct pi_error *err)
{
    int fd = openat(store->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        int errnum = errno;
        pi_close_p(&fd);
        pi_fail(err, errnum, "cannot read the image store %s", store->dir);
        errno = errnum;
    }
    return dir;
}

/* The release's number, if the image is of the kind that is wanted; else 0. */
static uint64_t candidate_number(const struct image *image, const char *release, const char *arch,
                                 bool unsigned_too)
{
    uint64_t number = 0;
    if (!image->verified || (!image->signer && !unsigned_too) || !image->release ||
        strcmp(image->arch, arch) != 0)
        return 0;
    if (release)
        return !strcmp(image->release, release);
    return pi_number_parse(image->release, 1, UINT32_MAX, &number, NULL) < 0 ? 0 : number;
}

int image_store_newest(const struct image_store *store, const char *release, const char *arch,
                       bool unsigned_too, struct image *ret, struct pi_error *err)
{
    pi_auto_image_list struct image_list list = {0};
    int r = image_store_list(store, &list, err);
    if (r < 0)
        return r;
    struct image *best = NULL;
    uint64_t best_number = 0;
    for (size_t i = 0; i < list.count; i++) {
        uint64_t number = candidate_number(&list.items[i], release, arch, unsigned_too);
        if (number > best_number) {
            best = &list.items[i];
            best_number = number;
        }
    }
    if (!best)
        return pi_refuse(err, PI_NOT_FOUND, "the store has no Fedora%s%s for %s", release ? " " : "",
                         release ? release : "", arch);
    *ret = *best;
    *best = (struct image){0};
    return 0;
}
