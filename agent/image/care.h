/* SPDX-License-Identifier: MIT */
/* Looking after the images in the store: are they still what was checked, and away with them. */
#ifndef PIAGENT_IMAGE_CARE_H
#define PIAGENT_IMAGE_CARE_H

#include "agent/base/error.h"
#include "agent/image/image.h"
#include "agent/image/meter.h"
#include "agent/image/store.h"

/*
 * The cheap check before the image at path, in whichever store that is, is booted: the file has the size,
 * modification time and inode that it had when it was hashed. PI_NOT_FOUND where it is not there;
 * PI_UNVERIFIED where something differs, which image_store_verify() settles.
 */
int image_check(const char *path, const char *sha256, struct pi_error *err);

/* The same of one that was just found in a store. */
int image_check_found(const struct image *image, struct pi_error *err);

/* The full check: hashes the stored file again. Where it is right, it is what image_check() compares
 * with from now on; else PI_UNVERIFIED. PI_FAILED with -ECANCELED. */
int image_store_verify(const struct image_store *store, struct image *image, struct image_meter *meter,
                       struct pi_error *err);

/* Removes the image and its provenance. Refuses where a machine uses it: image_use_check(), with the machines
 * of the folder instances and all that the store knows of. */
int image_store_remove(const struct image_store *store, const struct image *image, const char *instances,
                       struct pi_error *err);

/* Removes what fetches left to be gone on with, where none did for kept_ms, but not what is being fetched.
 * Returns the bytes that this frees, or would free (dry_run). */
uint64_t image_store_prune_partials(const struct image_store *store, uint64_t kept_ms, bool dry_run);

/* The names of stored files that are no whole images: of another size than their provenance says, or without
 * one that can be understood. A fetch of the same image replaces them. Added to *ret, also on failure.
 * Where a provenance cannot be read, the reason is added to *ret_unread: "/...: sha256-HEX.json: Permission
 * denied". */
int image_store_damaged(const struct image_store *store, struct pi_strv *ret, struct pi_strv *ret_unread,
                        struct pi_error *err);

/* Removes such a file and its provenance, unless a machine uses it or a fetch has replaced it meanwhile
 * (PI_CONFLICT). With dry_run it only checks. *ret_bytes: its size on disk. */
int image_store_remove_damaged(const struct image_store *store, const char *file, const char *instances,
                               bool dry_run, uint64_t *ret_bytes, struct pi_error *err);

#endif
