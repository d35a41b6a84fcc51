/* SPDX-License-Identifier: MIT */
/*
 * The steps of image_fetch(). A struct image goes through them: first it says what is wanted (source, name,
 * and the SHA-256 and size where they are known), in the end what is stored; its path is set once it is.
 */
#ifndef PIAGENT_IMAGE_STEPS_H
#define PIAGENT_IMAGE_STEPS_H

#include "agent/image/fetch.h"
#include "agent/image/meter.h"
#include "agent/image/partial.h"
#include "agent/image/ref.h"
#include "agent/image/unpack.h"

struct image_fetch {
    const struct image_store *store;
    const struct image_sources *sources;
    const struct image_request *request;
    struct image_ref ref;
    char sha256[IMAGE_SHA256_LENGTH + 1]; /* the request's, lower case; "" = none */
    struct pi_strv urls;                  /* where a resolved image can be had, in the order to try; owned */
    char *metalink_path;        /* of a Fedora image, for image_sources.fedora_metalink_url; owned */
    enum image_packing packing; /* of what the URL names */
    bool allow_unsigned;
    uint64_t began_ms;                      /* since 1970 */
    char replaced[IMAGE_SHA256_LENGTH + 1]; /* what the URL served before; "" = nothing, or the same */
    struct image_meter meter;
};

/* Finds out what a Fedora reference or a URL means; may find it in the store at once. */
int image_resolve(struct image_fetch *fetch, struct image *ret, struct pi_error *err);

/* Gets what image wants from its URL into the store. */
int image_download(struct image_fetch *fetch, struct image *image, struct pi_error *err);

/* Gets a local file into the store. */
int image_import(struct image_fetch *fetch, struct image *ret, struct pi_error *err);

/* Whether the store has what image wants, by its SHA-256, or where none is known by its source, if that
 * serves the same as before or cannot be asked; it is *image then. What is known better now (a checksum for
 * what was unverified, newer validators, the source that an unverified image came from last) is recorded. */
bool image_is_stored(struct image_fetch *fetch, struct image *image);

/* Whether a stored image is what was checked once; hashed again where that cannot be told from outside. */
bool image_still_good(struct image_fetch *fetch, struct image *stored);

/* Looks at the header of the file in fd, size_bytes long; sets format and both sizes. */
int image_inspect(int fd, uint64_t size_bytes, struct image *image, struct pi_error *err);

/* Publishes a partial whose content has this SHA-256, which was found good. */
int image_complete(struct image_fetch *fetch, struct image_partial *partial, const char *sha256,
                   struct image *image, struct pi_error *err);

/* The first refusal of what no one vouches for, and the last one of what is not what it should be. */
int image_refuse_unknown(const char *what, struct pi_error *err);
int image_refuse_wrong(const char *name, const char *expected, const char *found, struct pi_error *err);

/* Replaces a string that a struct owns. 0 or -ENOMEM. */
int image_set(char **field, const char *value);

#endif
