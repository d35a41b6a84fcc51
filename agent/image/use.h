/* SPDX-License-Identifier: MIT */
/*
 * Tells which instances use which image: asked before an image is removed. There are three witnesses, each of
 * which may be gone or damaged. An image is used if any of them says so:
 *
 *   the instance's disk: the header of the overlay names the image that it stands on;
 *   a link in the store, sha256-HEX.use-KEY, that leads to the disk: also to one below another XDG_DATA_HOME;
 *   the instance's record (agent/vm/record.h).
 *
 * A link counts no longer when its instance's folder is gone, or its disk stands on something else.
 */
#ifndef PIAGENT_IMAGE_USE_H
#define PIAGENT_IMAGE_USE_H

#include <jansson.h>

#include "agent/base/error.h"
#include "agent/image/store.h"

#define IMAGE_USE_DISK    "disk.qcow2" /* the overlay in an instance's folder */
#define IMAGE_USE_UNKNOWN ""
#define IMAGE_USE_LOCK_MS 30000

/* Links the image at path to the disk in an instance's folder (absolute), which is about to stand on it.
 * Waits while an image is removed, at most IMAGE_USE_LOCK_MS. PI_NOT_FOUND if the image was removed
 * meanwhile, PI_CONFLICT if the store stays locked. */
int image_use_add(const char *path, const char *sha256, const char *folder, struct pi_error *err);

/* The same for an instance that has its disk, which an older piagent made or a user moved. It waits for no
 * lock and no disk. A link that it cannot make does no harm: the disk's header tells the image. */
void image_use_renew(const char *path, const char *sha256, const char *folder);

/* Removes that link: the instance is gone. A link that stays does no harm. */
void image_use_drop(const char *path, const char *sha256, const char *folder);

/*
 * {SHA256: [NAME...]}: the names of the instances in the folder instances (pi_paths.instances), and the
 * folders of those elsewhere. Below IMAGE_USE_UNKNOWN are the instances whose image no witness can tell. *ret
 * is a new reference.
 */
int image_use_find(const struct image_store *store, const char *instances, json_t **ret,
                   struct pi_error *err);

/* Adds "web, db" to *ret; nothing if no instance uses the image. 0 or -errno. */
int image_use_names(const json_t *use, const char *sha256, struct pi_buf *ret);

/* Refuses (PI_CONFLICT) an image, called name, that is used; and (PI_FAILED) any image while there is an
 * instance whose image is not known. */
int image_use_check(const json_t *use, const char *sha256, const char *name, struct pi_error *err);

/* For the removal of an image: keeps image_use_add() and image_partial_publish() out until the descriptor is
 * closed (PI_CONFLICT if another keeps it locked for wait_ms); removes the links of an image that nobody
 * uses. */
int image_use_lock(const struct image_store *store, uint64_t wait_ms, struct pi_error *err);
void image_use_forget(const struct image_store *store, const char *sha256);

#endif
