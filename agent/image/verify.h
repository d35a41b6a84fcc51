/* SPDX-License-Identifier: MIT */
/* Tells if a stored image is still the one that was verified when it was fetched, by a quick check or a full
 * one. */
#ifndef PIAGENT_IMAGE_VERIFY_H
#define PIAGENT_IMAGE_VERIFY_H

#include "agent/base/error.h"
#include "agent/image/meter.h"
#include "agent/image/provenance.h"
#include "agent/image/store.h"

/*
 * The quick check, before the image at path (in any store) is booted: the file's size, modification time and
 * inode are those that it had when it was hashed. PI_NOT_FOUND if it is missing; PI_UNVERIFIED if something
 * differs: image_store_verify() then tells if it is still good.
 */
int image_check(const char *path, const char *sha256, struct pi_error *err);

/* The same for an image that the caller just found in a store. */
int image_check_found(const struct image *image, struct pi_error *err);

/* The full check: hashes the stored file again. If the SHA-256 is right, image_check() compares with this
 * file from now on; else PI_UNVERIFIED. PI_FAILED with -ECANCELED. */
int image_store_verify(const struct image_store *store, struct image *image, struct image_meter *meter,
                       struct pi_error *err);

#endif
