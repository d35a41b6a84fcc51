/* SPDX-License-Identifier: MIT */
/* Removes from the store: images, damaged files, and partials that no fetch went on with. */
#ifndef PIAGENT_IMAGE_REMOVE_H
#define PIAGENT_IMAGE_REMOVE_H

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/image/provenance.h"
#include "agent/image/store.h"

/* Removes the image and its provenance. Refuses if an instance uses it: image_use_check(), with the instances
 * of the folder instances and all that the store knows of. */
int image_store_remove(const struct image_store *store, const struct image *image, const char *instances,
                       struct pi_error *err);

/* Removes the partials that fetches left and that none went on with for kept_ms, but not those that are being
 * fetched. Returns the bytes that this frees, or would free (dry_run). */
uint64_t image_store_prune_partials(const struct image_store *store, uint64_t kept_ms, bool dry_run);

/* The names of stored files that are no whole images: they have another size than their provenance says, or
 * no provenance that can be understood. A fetch of the same image replaces them. Added to *ret, also on
 * failure. If a provenance cannot be read, the reason is added to *ret_unread: "/...: sha256-HEX.json:
 * Permission denied". */
int image_store_damaged(const struct image_store *store, struct pi_strv *ret, struct pi_strv *ret_unread,
                        struct pi_error *err);

/* Removes such a file and its provenance, unless an instance uses it or a fetch has replaced it meanwhile
 * (PI_CONFLICT). With dry_run it only checks. *ret_bytes: its size on disk. */
int image_store_remove_damaged(const struct image_store *store, const char *file, const char *instances,
                               bool dry_run, uint64_t *ret_bytes, struct pi_error *err);

#endif
