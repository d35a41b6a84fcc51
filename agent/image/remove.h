/* SPDX-License-Identifier: MIT */
/* Removes images, damaged files and abandoned partials from the store. */
#ifndef PIAGENT_IMAGE_REMOVE_H
#define PIAGENT_IMAGE_REMOVE_H

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/image/provenance.h"
#include "agent/image/store.h"
#include "agent/image/use.h"

/* Removes the image and its provenance. Refuses if an instance uses it: image_use_check(), with these instances
 * and all that the store knows of. */
int image_store_remove(const struct image_store *store, const struct image *image,
                       const struct image_instances *instances, struct pi_error *err);

/* Removes the partials that nobody fetches now and no fetch went on with for kept_ms. Returns the bytes that
 * this frees, or would free (dry_run). */
uint64_t image_store_prune_partials(const struct image_store *store, uint64_t kept_ms, bool dry_run);

/* Adds the names of damaged files to *ret, also on failure: their size is not that of their provenance, or
 * they have no valid provenance. A fetch of the same image replaces them. If a provenance cannot be read,
 * adds the reason to *ret_unread: "/...: sha256-HEX.json: Permission denied". */
int image_store_damaged(const struct image_store *store, struct pi_strv *ret, struct pi_strv *ret_unread,
                        struct pi_error *err);

/* Removes a damaged file and its provenance, unless an instance uses it or a fetch has replaced it meanwhile
 * (PI_CONFLICT). With dry_run it only checks. *ret_bytes: its size on disk. */
int image_store_remove_damaged(const struct image_store *store, const char *file,
                               const struct image_instances *instances, bool dry_run, uint64_t *ret_bytes,
                               struct pi_error *err);

#endif
