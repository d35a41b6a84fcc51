/* SPDX-License-Identifier: MIT */
/*
 * Shared by the steps of image_fetch(). A struct image goes through the steps. At first it describes the
 * wanted image (source, name, and SHA-256 and size if they are known), in the end the stored one. Its path is
 * set when it is stored.
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
    struct pi_strv urls;                  /* of a resolved image, in the order to try them; owned */
    char *metalink_path;        /* of a Fedora image, for image_sources.fedora_metalink_url; owned */
    enum image_packing packing; /* of the file at the URL */
    bool allow_unsigned;
    uint64_t began_ms; /* since 1970 */
    char replaced[IMAGE_SHA256_LENGTH +
                  1]; /* of the image that the URL served before; "" = none, or the same */
    struct image_meter meter;
};

/* Checks the header of the file in fd, size_bytes long; sets format and both sizes. */
int image_inspect(int fd, uint64_t size_bytes, struct image *image, struct pi_error *err);

/* Publishes a partial that was checked and has this SHA-256. */
int image_complete(struct image_fetch *fetch, struct image_partial *partial, const char *sha256,
                   struct image *image, struct pi_error *err);

/* Refuse (PI_UNVERIFIED) an image without a published checksum, and one with a wrong checksum. */
int image_refuse_unknown(const char *what, struct pi_error *err);
int image_refuse_wrong(const char *name, const char *expected, const char *found, struct pi_error *err);

#endif
