/* SPDX-License-Identifier: MIT */
/*
 * The image store: a folder of read-only, content-addressed files.
 *
 *     sha256-HEX.qcow2|raw   an image, mode 0444
 *     sha256-HEX.json        its provenance (image_fields)
 *     sha256-HEX.use-KEY     a link to the disk of an instance that uses it (use.h)
 *     KEY.partial            being fetched, under its fetcher's flock; or left for a later fetch
 *     .lock                  held while images are removed, published or linked (use.h)
 *     KEY.resume             proves that a later fetch can go on with the partial (resume.h)
 *
 * The store has an image if it has both files. The provenance is published first, the image last, each
 * durably.
 */
#ifndef PIAGENT_IMAGE_STORE_H
#define PIAGENT_IMAGE_STORE_H

#include <stddef.h>

#include "agent/base/error.h"
#include "agent/image/provenance.h"

struct image_store {
    int dir_fd; /* the folder; -1 = not open */
    char *dir;  /* its path, absolute */
};

/* Opens the store, and creates its folder if it is missing. images_dir is pi_paths.images. */
int image_store_open(const char *images_dir, struct image_store *ret, struct pi_error *err);
/* Opens the store that holds the image at path. */
int image_store_open_of(const char *path, struct image_store *ret, struct pi_error *err);
void image_store_done(struct image_store *store);
#define pi_auto_image_store __attribute__((cleanup(image_store_done)))

/* The image with that SHA-256 (64 hexadecimal digits, either case). -ENOENT (PI_NOT_FOUND) if the store has
 * none or only a part of it, -EBADMSG if its provenance is invalid, -EPROTONOSUPPORT if a newer piagent wrote
 * the provenance, others if it cannot be read. */
int image_store_find(const struct image_store *store, const char *sha256, struct image *ret,
                     struct pi_error *err);

/* Tells if image_store_find() failed for a reason that concerns all images: the host lacks memory or
 * descriptors, or its disk fails. */
bool image_store_gives_up(int r);

struct image_list {
    struct image *items; /* the last fetched first */
    size_t count;
};

/* All images but those that are damaged, of a newer schema or not readable. Fails if the store cannot be
 * read, or if image_store_gives_up(). */
int image_store_list(const struct image_store *store, struct image_list *ret, struct pi_error *err);
void image_list_done(struct image_list *list);
#define pi_auto_image_list __attribute__((cleanup(image_list_done)))

/* The verified Fedora image of that release ("44"; NULL = the newest stable one) and architecture, signed
 * unless unsigned_too; -ENOENT (PI_NOT_FOUND) if there is none. */
int image_store_newest(const struct image_store *store, const char *release, const char *arch,
                       bool unsigned_too, struct image *ret, struct pi_error *err);

#endif
