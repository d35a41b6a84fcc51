/* Looking after the images in the store: are they still what was checked, and away with them. */
#ifndef PIAGENT_IMAGE_CARE_H
#define PIAGENT_IMAGE_CARE_H

#include "agent/base/error.h"
#include "agent/image/image.h"
#include "agent/image/meter.h"
#include "agent/image/store.h"

/*
 * The cheap check before an image is booted: the stored file has the size, modification time and inode that
 * it had when it was hashed. PI_NOT_FOUND where the image is not there; PI_UNVERIFIED where something
 * differs, which image_store_verify() settles.
 */
int image_store_check(const struct image_store *store, const char *sha256, struct pi_error *err);

/* The full check: hashes the stored file again. Where it is right, it is what image_store_check() compares
 * with from now on; else PI_UNVERIFIED. PI_FAILED with -ECANCELED. */
int image_store_verify(const struct image_store *store, struct image *image, struct image_meter *meter,
                       struct pi_error *err);

/* Removes the image and its provenance. Whether something uses it is the caller's to know. */
int image_store_remove(const struct image_store *store, const struct image *image, struct pi_error *err);

/* Removes what fetches left to be gone on with, but not what is being fetched; returns the bytes freed. */
uint64_t image_store_remove_partials(const struct image_store *store);

#endif
