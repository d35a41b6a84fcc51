/* SPDX-License-Identifier: MIT */
#include "agent/image/partial.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/fs.h"
#include "agent/base/text.h"
#include "agent/image/use.h"

#define SUFFIX        ".partial"
#define RESUME_SUFFIX ".resume"
#define LOOK_AGAIN_NS 100000000L

static bool is_still(int store_fd, const char *name, int fd)
{
    struct stat at_path, held;
    return fstatat(store_fd, name, &at_path, AT_SYMLINK_NOFOLLOW) == 0 && fstat(fd, &held) == 0 &&
           at_path.st_ino == held.st_ino && at_path.st_dev == held.st_dev;
}

/* Waits for the lock on fd; its holder is writing the file. A file that is open for reading only can be locked by a
 * shared lock, which its writer's keeps out as well: over NFS an exclusive one needs a file that is open for writing
 * (flock(2)). */
static int lock_partial(int fd, bool shared, uint64_t total_bytes, struct image_meter *meter,
                        struct pi_error *err)
{
    static const struct timespec pause = {.tv_nsec = LOOK_AGAIN_NS};
    while (flock(fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) < 0) {
        struct stat st;
        if (errno != EWOULDBLOCK && errno != EINTR)
            return pi_fail(err, errno, "cannot lock %s in the image store", meter->now.name);
        if (image_meter_cancelled(meter))
            return image_meter_give_up(meter, err);
        if (meter->now.phase != IMAGE_WAITING)
            image_meter_phase(meter, IMAGE_WAITING, total_bytes);
        if (fstat(fd, &st) == 0)
            image_meter_step(meter, (uint64_t)st.st_size, total_bytes);
        nanosleep(&pause, NULL);
    }
    return 0;
}

/* Finds what an earlier fetch left in the partial, if a fetch can go on from there; else empties it. */
static int find_rest(struct image_partial *partial, struct pi_error *err)
{
    struct stat st;
    if (image_resume_load(partial->store_fd, partial->resume_name, &partial->resume) &&
        fstat(partial->fd, &st) == 0 && (uint64_t)st.st_size >= partial->resume.done_bytes)
        return 0;
    return image_partial_reset(partial, err);
}

int image_partial_reset(struct image_partial *partial, struct pi_error *err)
{
    image_resume_done(&partial->resume);
    unlinkat(partial->store_fd, partial->resume_name, 0);
    if (ftruncate(partial->fd, 0) < 0)
        return pi_fail(err, errno, "cannot write into the image store");
    return 0;
}

void image_partial_save(const struct image_partial *partial)
{
    if (image_resume_possible(&partial->resume))
        image_resume_save(partial->store_fd, partial->resume_name, &partial->resume);
}

/* Opens the partial. *ret_whole is true if it is read-only: its fetcher ended when all of it was there,
 * before it was moved to its place in the store. */
static int open_partial(const struct image_store *store, const char *name, bool *ret_whole)
{
    int fd = openat(store->dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    *ret_whole = fd < 0 && errno == EACCES;
    return *ret_whole ? openat(store->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : fd;
}

int image_partial_take(const struct image_store *store, const char *key, uint64_t total_bytes,
                       struct image_meter *meter, struct image_partial *ret, struct pi_error *err)
{
    struct image_partial partial = {.store_fd = store->dir_fd};
    snprintf(partial.name, sizeof partial.name, "%s" SUFFIX, key);
    snprintf(partial.resume_name, sizeof partial.resume_name, "%s" RESUME_SUFFIX, key);
    for (;;) {
        bool whole;
        pi_auto_close int fd = open_partial(store, partial.name, &whole);
        if (fd < 0)
            return pi_fail(err, errno, "cannot write %s/%s", store->dir, partial.name);
        int r = lock_partial(fd, whole, total_bytes, meter, err);
        if (r < 0)
            return r;
        if (!is_still(store->dir_fd, partial.name, fd))
            continue;
        if (whole && fchmod(fd, 0600) < 0)
            return pi_fail(err, errno, "cannot write %s/%s", store->dir, partial.name);
        if (whole)
            continue;
        partial.fd = fd;
        r = find_rest(&partial, err);
        if (r < 0)
            return r;
        (void)pi_steal_fd(&fd);
        *ret = partial;
        return 0;
    }
}

int image_stat(int fd, struct image *image, struct pi_error *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return pi_fail(err, errno, "cannot read the status of %s", image->name);
    image->mtime_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
    image->inode = st.st_ino;
    return 0;
}

int image_partial_publish(struct image_partial *partial, const struct image_store *store, struct image *image,
                          struct pi_error *err)
{
    char file[IMAGE_STORE_NAME_MAX];
    char *path;
    if (fchmod(partial->fd, 0444) < 0 || fsync(partial->fd) < 0)
        return pi_fail(err, errno, "cannot store %s", image->name);
    image_store_file(image->sha256, image_format_names[image->format], file);
    if (asprintf(&path, "%s/%s", store->dir, file) < 0)
        return pi_fail(err, ENOMEM, "cannot store %s", image->name);
    free(image->path);
    image->path = path;
    int r = image_stat(partial->fd, image, err);
    if (r < 0)
        return r;
    pi_auto_close int lock = image_use_lock(store, IMAGE_USE_LOCK_MS, err);
    if (lock < 0)
        return lock;
    if ((r = image_store_record(store, image, err)) < 0)
        return r;
    if (renameat(store->dir_fd, partial->name, store->dir_fd, file) < 0)
        return pi_fail(err, errno, "cannot store %s", image->name);
    unlinkat(store->dir_fd, partial->resume_name, 0);
    image_resume_done(&partial->resume);
    close(pi_steal_fd(&partial->fd));
    return pi_dir_sync(store->dir_fd, err);
}

void image_partial_done(struct image_partial *partial)
{
    if (partial->fd < 0)
        return;
    if (image_resume_possible(&partial->resume) &&
        ftruncate(partial->fd, (off_t)partial->resume.done_bytes) == 0) {
        image_partial_save(partial);
    } else {
        /* Removed while locked: a process that waits for the lock finds the file gone. */
        unlinkat(partial->store_fd, partial->resume_name, 0);
        unlinkat(partial->store_fd, partial->name, 0);
    }
    image_resume_done(&partial->resume);
    close(pi_steal_fd(&partial->fd));
}

/* Tells if a fetch may still go on with the partial that is locked in fd. */
static bool resume_is_kept(const struct image_store *store, const char *resume_name, const struct stat *st,
                           uint64_t kept_ms)
{
    pi_auto_image_resume struct image_resume resume = {0};
    return image_resume_load(store->dir_fd, resume_name, &resume) &&
           (uint64_t)st->st_mtim.tv_sec * 1000 + kept_ms > pi_realtime_ms();
}

static uint64_t sweep_one(const struct image_store *store, const char *name, uint64_t kept_ms, bool dry_run)
{
    char resume_name[IMAGE_STORE_NAME_MAX];
    size_t key = strlen(name) - strlen(SUFFIX);
    pi_auto_close int fd = openat(store->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || key > IMAGE_SHA256_LENGTH || flock(fd, LOCK_SH | LOCK_NB) < 0 ||
        !is_still(store->dir_fd, name, fd))
        return 0;
    snprintf(resume_name, sizeof resume_name, "%.*s" RESUME_SUFFIX, (int)key, name);
    struct stat st;
    if (fstat(fd, &st) < 0 || resume_is_kept(store, resume_name, &st, kept_ms))
        return 0;
    if (!dry_run) {
        unlinkat(store->dir_fd, resume_name, 0);
        unlinkat(store->dir_fd, name, 0);
    }
    return (uint64_t)st.st_blocks * 512;
}

uint64_t image_partial_sweep(const struct image_store *store, uint64_t kept_ms, bool dry_run)
{
    uint64_t freed_bytes = 0;
    /* Two who sweep at once would both hold their shared locks. */
    pi_auto_close int lock = image_use_lock(store, 0, NULL);
    if (lock < 0)
        return 0;
    pi_auto_closedir DIR *dir = image_store_folder(store, NULL);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (pi_ends_with(entry->d_name, SUFFIX))
            freed_bytes += sweep_one(store, entry->d_name, kept_ms, dry_run);
    return freed_bytes;
}
