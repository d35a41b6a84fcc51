/* SPDX-License-Identifier: MIT */
/*
 * The store's writing side, for the fetch alone: partial files and their way into the store.
 *
 * A partial is its own lock. The process that holds the flock on KEY.partial is fetching KEY; the kernel
 * releases the lock when that process ends. A process that then gets the lock checks if the path still leads
 * to the file that it locked. It does not if the fetch was published (renamed) or given up (removed)
 * meanwhile.
 */
#ifndef PIAGENT_IMAGE_PARTIAL_H
#define PIAGENT_IMAGE_PARTIAL_H

#include <dirent.h>

#include "agent/base/error.h"
#include "agent/image/meter.h"
#include "agent/image/resume.h"
#include "agent/image/store.h"

#define IMAGE_STORE_NAME_MAX (IMAGE_SHA256_LENGTH + 24)

struct image_partial {
    int store_fd; /* borrowed */
    int fd;       /* open for reading and writing, synced by no one; -1 once published */
    char name[IMAGE_STORE_NAME_MAX], resume_name[IMAGE_STORE_NAME_MAX];
    struct image_resume resume; /* how far it is, and the proof of that */
};

/*
 * Takes the partial of key (64 hexadecimal digits: the SHA-256 if it is known, else that of the URL). Waits
 * for another process that fetches it, and shows that process's progress on the meter. total_bytes 0 =
 * unknown. The partial holds what an earlier fetch left, as far as ret->resume says, else nothing. Look into
 * the store again afterwards, because the other process may have stored the image. PI_FAILED with -ECANCELED.
 */
int image_partial_take(const struct image_store *store, const char *key, uint64_t total_bytes,
                       struct image_meter *meter, struct image_partial *ret, struct pi_error *err);

/* Makes a complete and checked partial the stored file of image, and sets image->path. Waits while another
 * process removes an image: image_use_lock(). */
int image_partial_publish(struct image_partial *partial, const struct image_store *store, struct image *image,
                          struct pi_error *err);

/* Records how far it is, so that another fetch can go on from there. */
void image_partial_save(const struct image_partial *partial);

/* Empties it: nothing in it can be used. */
int image_partial_reset(struct image_partial *partial, struct pi_error *err);

/* Removes the partial, unless it was published or another fetch can go on with it. */
void image_partial_done(struct image_partial *partial);
#define pi_auto_image_partial __attribute__((cleanup(image_partial_done)))

/* Removes the partials that nobody fetches and no fetch can go on with, and those that no fetch went on with
 * for kept_ms. Returns the bytes that this frees, or would free (dry_run: removes nothing). */
#define IMAGE_PARTIAL_KEPT_MS ((uint64_t)3 * 24 * 3600 * 1000)
uint64_t image_partial_sweep(const struct image_store *store, uint64_t kept_ms, bool dry_run);

/* Records the stored file's mtime and inode in image. */
int image_stat(int fd, struct image *image, struct pi_error *err);

/* Writes the provenance of an image. */
int image_store_record(const struct image_store *store, const struct image *image, struct pi_error *err);

/* "sha256-HEX.EXTENSION" */
void image_store_file(const char *sha256, const char *extension, char ret[IMAGE_STORE_NAME_MAX]);

/* Tells if a file name is a stored image's, not a provenance's. */
bool image_store_is_image(const char *file);

/* The store's folder for readdir(); NULL with errno. */
DIR *image_store_folder(const struct image_store *store, struct pi_error *err);

#endif
