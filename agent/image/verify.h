/* SPDX-License-Identifier: MIT */
/* If a stored image is still the one that was verified when it was fetched: the quick check, and the full
 * one.
 */
#ifndef PIAGENT_IMAGE_VERIFY_H
#define PIAGENT_IMAGE_VERIFY_H

#include "agent/base/error.h"
#include "agent/image/meter.h"
#include "agent/image/provenance.h"
#include "agent/image/store.h"

/*
 * The quick check, made before the image at path is booted, in whichever store it is: the file has the size,
 * modification time and inode that it had when it was hashed. PI_NOT_FOUND if it is not there; PI_UNVERIFIED
 * if something differs: image_store_verify() then tells if it is still good.
 */
int image_check(const char *path, const char *sha256, struct pi_error *err);

/* The same for an image that was just found in a store. */
int image_check_found(const struct image *image, struct pi_error *err);

/* The full check: hashes the stored file again. If the SHA-256 is right, image_check() compares with this
 * file from now on; else PI_UNVERIFIED. PI_FAILED with -ECANCELED. */
int image_store_verify(const struct image_store *store, struct image *image, struct image_meter *meter,
                       struct pi_error *err);

#endif
