/* SPDX-License-Identifier: MIT */
#include "agent/worker/disk_clone.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/base/proc.h"
#include "agent/image/use.h"
#include "agent/vm/argv.h"
#include "agent/vm/saved.h"
#include "agent/vm/snapshot_folder.h"

#define OVERLAY_FILE "overlay.qcow2"   /* the source's new disk, while it is in the clone's folder */
#define EMPTY_MAX    ((size_t)4 << 20) /* of an empty overlay: its tables alone, 2 MiB for a disk of 16 TiB */

/* A disk that is being cloned. */
struct cloning {
    const char *source, *folder; /* paths */
    int source_fd, folder_fd;
    bool live;
    uint64_t size_bytes; /* as the guest sees it */
    unsigned layers;
    char layer[DISK_LAYER_SIZE]; /* that both then stand on; "" = the disk was copied */
};

static const char *layer_name(unsigned layer, char ret[DISK_LAYER_SIZE])
{
    snprintf(ret, DISK_LAYER_SIZE, VM_LAYER_FILE, layer);
    return ret;
}

static int sync_file(int dir_fd, const char *name, struct pi_error *err)
{
    pi_auto_close int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 || fsync(fd) < 0 ? pi_fail(err, errno, "cannot sync %s", name) : 0;
}

static int disk_path(const char *folder, char ret[PATH_MAX], struct pi_error *err)
{
    return snprintf(ret, PATH_MAX, "%s/" VM_DISK_FILE, folder) < PATH_MAX
               ? 0
               : pi_refuse(err, PI_HOST, "%s: the path is too long", folder);
}

/* qemu-img refuses a disk that a QEMU has open for writing. Its own words follow the reason. */
static int look_at_disk(struct cloning *c, struct pi_error *err)
{
    char path[PATH_MAX];
    pi_auto_buf struct pi_buf text = {0};
    int code = 0, r = disk_path(c->source, path, err);
    if (r == 0)
        r = pi_run((const char *const[]){"qemu-img", "info", "-f", "qcow2", "--output=json", path,
                                         c->live ? "-U" : NULL, NULL},
                   &text, &code, err);
    if (r < 0)
        return pi_context(err, r, "cannot look at the disk");
    if (code && text.data && strstr(text.data, "\" lock")) /* Failed to get shared "write" lock */
        return pi_refuse(err, PI_CONFLICT,
                         "another program has the disk %s open: end that first, then clone again", path);
    json_auto_t *info = code ? NULL : pi_json_parse(text.data ? text.data : "", text.size, NULL);
    const char *base = json_string_value(json_object_get(info, "backing-filename"));
    c->size_bytes = (uint64_t)json_integer_value(json_object_get(info, "virtual-size"));
    if (!base || !c->size_bytes)
        return pi_refuse(err, PI_FAILED, "cannot read the disk %s: %.200s", path,
                         text.data ? text.data : "qemu-img said nothing");
    if (sscanf(base, VM_LAYER_FILE, &c->layers) != 1)
        c->layers = 0; /* it stands on the image */
    return 0;
}

/* An empty overlay on that layer, for the source. */
static int make_source_overlay(const struct cloning *c, unsigned layer, struct pi_error *err)
{
    char name[DISK_LAYER_SIZE];
    return vm_overlay_make(c->folder, OVERLAY_FILE, layer_name(layer, name), c->size_bytes, err);
}

/* Whether nothing was written to the source's disk since it was made: then it is like a new overlay. 1, 0 or negative. */
static int is_disk_empty(const struct cloning *c, struct pi_error *err)
{
    struct stat st;
    pi_auto_buf struct pi_buf disk = {0}, empty = {0};
    if (!c->layers || fstatat(c->source_fd, VM_DISK_FILE, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        st.st_size > (off_t)EMPTY_MAX)
        return 0;
    int r = make_source_overlay(c, c->layers, err);
    if (r == 0)
        r = pi_file_read(c->source_fd, VM_DISK_FILE, EMPTY_MAX, &disk, err);
    if (r == 0)
        r = pi_file_read(c->folder_fd, OVERLAY_FILE, EMPTY_MAX, &empty, err);
    unlinkat(c->folder_fd, OVERLAY_FILE, 0);
    return r < 0 ? r : disk.size && disk.size == empty.size && !memcmp(disk.data, empty.data, disk.size);
}

/* Makes the source's disk a layer, and gives the source an overlay on it. The disk has a second name before it loses its own,
 * and loses that only to an overlay that is on disk: at each step there is a disk with all of the content. 1 if the file
 * system has no such links. */
static int add_layer(struct cloning *c, struct pi_error *err)
{
    char name[DISK_LAYER_SIZE];
    layer_name(c->layers + 1, name);
    int r = make_source_overlay(c, c->layers + 1, err);
    if (r == 0)
        r = sync_file(c->folder_fd, OVERLAY_FILE, err);
    if (r < 0)
        return r;
    /* The disk does not stand on a layer of this number, so that it is a name that was left by a clone that broke off. */
    if (unlinkat(c->source_fd, name, 0) < 0 && errno != ENOENT)
        return pi_fail(err, errno, "cannot remove %s/%s", c->source, name);
    if (linkat(c->source_fd, VM_DISK_FILE, c->source_fd, name, 0) < 0)
        return errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS
                   ? 1
                   : pi_fail(err, errno, "cannot link %s/%s", c->source, name);
    if ((r = pi_dir_sync(c->source_fd, err)) < 0 ||
        (r = vm_saved_note_layer(c->source_fd, name, c->folder_fd, OVERLAY_FILE, err)) < 0)
        return r;
    if (renameat(c->folder_fd, OVERLAY_FILE, c->source_fd, VM_DISK_FILE) < 0)
        return pi_fail(err, errno, "cannot replace %s/" VM_DISK_FILE, c->source);
    if ((r = pi_dir_sync(c->source_fd, err)) < 0)
        return r;
    c->layers++;
    return 0;
}

static int link_layers(const struct cloning *c, struct pi_error *err)
{
    char name[DISK_LAYER_SIZE];
    for (unsigned i = 1; i <= c->layers; i++) {
        layer_name(i, name);
        if (linkat(c->source_fd, name, c->folder_fd, name, 0) < 0)
            return pi_fail(err, errno, "cannot link %s/%s", c->source, name);
    }
    return 0;
}

static int share_layers(const struct cloning *c, struct pi_error *err)
{
    char name[DISK_LAYER_SIZE];
    int r = link_layers(c, err);
    return r < 0 ? r
                 : vm_overlay_make(c->folder, VM_DISK_FILE, layer_name(c->layers, name), c->size_bytes, err);
}

/* One overlay on the image, with all that the source's layers have. */
static int copy_layers(const struct cloning *c, const struct vm_image *image, struct pi_error *err)
{
    char from[PATH_MAX], to[PATH_MAX];
    int r = disk_path(c->source, from, err);
    if (r == 0)
        r = disk_path(c->folder, to, err);
    if (r == 0)
        r = vm_overlay_make(c->folder, VM_DISK_FILE, from, c->size_bytes, err);
    if (r == 0)
        r = pi_run((const char *const[]){"qemu-img", "rebase", "-q", "-f", "qcow2", "-F", image->format, "-b",
                                         image->path, to, NULL},
                   NULL, NULL, err);
    return r < 0 ? pi_context(err, r, "cannot copy the disk") : 0;
}

/* 1 if the disk has to be copied. */
static int freeze_disk(struct cloning *c, struct pi_error *err)
{
    int r = c->live ? 0 : is_disk_empty(c, err);
    if (r != 0)
        return r < 0 ? r : 0;
    return c->layers >= (c->live ? VM_LAYERS_MAX : DISK_LAYERS_MAX) ? 1 : add_layer(c, err);
}

static int clone_layers(struct cloning *c, const struct vm_image *image, struct pi_error *err)
{
    int r = look_at_disk(c, err);
    if (r < 0)
        return r;
    int copies = freeze_disk(c, err);
    unlinkat(c->folder_fd, OVERLAY_FILE, 0);
    if (copies > 0 && c->live)
        return pi_refuse(
            err, PI_CONFLICT,
            "the disk stands on %u layers, or its file system has no hard links: power the instance "
            "down, take a snapshot of it and restore that, which makes one layer of them",
            c->layers);
    if (copies != 0)
        return copies < 0 ? copies : copy_layers(c, image, err);
    layer_name(c->layers, c->layer);
    return share_layers(c, err);
}

/* The layers of the source, and its disk as one more. */
static int share_disk(struct cloning *c, const struct vm_image *image, struct pi_error *err)
{
    char name[DISK_LAYER_SIZE];
    int r = look_at_disk(c, err);
    if (r < 0)
        return r;
    layer_name(c->layers + 1, name);
    bool links =
        c->layers < DISK_LAYERS_MAX && linkat(c->source_fd, VM_DISK_FILE, c->folder_fd, name, 0) == 0;
    if (!links)
        return copy_layers(c, image, err);
    r = link_layers(c, err);
    return r < 0 ? r : vm_overlay_make(c->folder, VM_DISK_FILE, name, c->size_bytes, err);
}

static int clone_with(struct cloning *c, const struct vm_spec *spec,
                      int (*layers)(struct cloning *c, const struct vm_image *image, struct pi_error *err),
                      struct pi_error *err)
{
    pi_auto_close int source_fd = open(c->source, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    pi_auto_close int folder_fd = open(c->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (source_fd < 0 || folder_fd < 0 || flock(source_fd, LOCK_EX) < 0)
        return pi_fail(err, errno, "cannot open %s", source_fd < 0 ? c->source : c->folder);
    c->source_fd = source_fd;
    c->folder_fd = folder_fd;
    int r = layers(c, &spec->image, err);
    return r < 0 || c->live || !vm_spec_uses_uefi(spec)
               ? r
               : pi_file_copy(source_fd, VM_VARS_FILE, folder_fd, err);
}

/* For a new instance, which uses the image from now on. */
static int clone_for_new(const struct vm_spec *spec, const char *source, const char *folder,
                         int (*layers)(struct cloning *c, const struct vm_image *image, struct pi_error *err),
                         struct pi_error *err)
{
    struct cloning c = {.source = source, .folder = folder};
    int r = image_use_add(spec->image.path, spec->image.sha256, folder, err);
    return r < 0 ? r : clone_with(&c, spec, layers, err);
}

int disk_clone(const struct vm_spec *spec, const char *source, const char *folder, struct pi_error *err)
{
    return clone_for_new(spec, source, folder, clone_layers, err);
}

int disk_share(const struct vm_spec *spec, const char *source, const char *folder, struct pi_error *err)
{
    return clone_for_new(spec, source, folder, share_disk, err);
}

int disk_keep(const struct vm_spec *spec, enum disk_source how, const char *source, const char *folder,
              char ret_layer[DISK_LAYER_SIZE], struct pi_error *err)
{
    struct cloning c = {.source = source, .folder = folder, .live = how == DISK_LIVE};
    int r = clone_with(&c, spec, clone_layers, err);
    if (r == 0)
        memcpy(ret_layer, c.layer, sizeof c.layer);
    return r;
}
