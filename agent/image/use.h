/* SPDX-License-Identifier: MIT */
/*
 * Tells which instances use which image. It is asked before an image is removed. There are three witnesses,
 * and each may be missing or damaged. An image is in use if any of them says so:
 *
 *   the instance's disk: the header of the overlay names its image;
 *   a link in the store, sha256-HEX.use-KEY, that leads to the disk: also to one below another XDG_DATA_HOME;
 *   the instance's record, as the agent tells it.
 *
 * A link does not count if its instance's folder is gone, or if the disk is an overlay of something else.
 */
#ifndef PIAGENT_IMAGE_USE_H
#define PIAGENT_IMAGE_USE_H

#include <jansson.h>

#include "agent/base/error.h"
#include "agent/image/store.h"

#define IMAGE_USE_DISK    "disk.qcow2" /* the overlay in an instance's folder */
#define IMAGE_USE_UNKNOWN ""
#define IMAGE_USE_LOCK    ".lock" /* in the store */
#define IMAGE_USE_LOCK_MS 30000

/* Links the image at path to the disk that will be made of it in an instance's folder (absolute). Waits while
 * another process removes an image, at most IMAGE_USE_LOCK_MS. PI_NOT_FOUND if the image was removed
 * meanwhile, PI_CONFLICT if the store stays locked. */
int image_use_add(const char *path, const char *sha256, const char *folder, struct pi_error *err);

/* The same for an instance that has its disk and lacks the link, because an older piagent made it or a user
 * moved it. Waits for no lock and no disk. If it cannot make the link, the disk's header still tells the
 * image. */
void image_use_renew(const char *path, const char *sha256, const char *folder);

/* Removes that link, after the instance is gone. A link that stays does no harm. */
void image_use_drop(const char *path, const char *sha256, const char *folder);

/* The same in the store at images_dir (pi_paths.images), if no record says which image it was: its creation came to no end. */
void image_use_drop_any(const char *images_dir, const char *folder);

/* The instances of this user. */
struct image_instances {
    const char *folder; /* which holds the folder of each (pi_paths.instances) */
    const json_t
        *images; /* {FOLDER: SHA256}: which image the agent says that the instance in FOLDER (absolute)
                             was made from; or NULL */
};

/*
 * {SHA256: [NAME...]}: the names of the instances, and the folders of those that are elsewhere. Below IMAGE_USE_UNKNOWN are the instances whose image no witness can tell. *ret
 * is a new reference.
 */
int image_use_find(const struct image_store *store, const struct image_instances *instances, json_t **ret,
                   struct pi_error *err);

/* Adds "web, db" to *ret; nothing if no instance uses the image. 0 or -errno. */
int image_use_names(const json_t *use, const char *sha256, struct pi_buf *ret);

/* Refuses (PI_CONFLICT) an image, called name, that an instance uses. Refuses (PI_FAILED) every image while
 * the image of some instance is unknown. */
int image_use_check(const json_t *use, const char *sha256, const char *name, struct pi_error *err);

/* For the removal of an image. image_use_lock() keeps image_use_add() and image_partial_publish() out until
 * the returned descriptor is closed; PI_CONFLICT if another process holds the lock for wait_ms.
 * image_use_forget() removes the links of an image that nobody uses. */
int image_use_lock(const struct image_store *store, uint64_t wait_ms, struct pi_error *err);
void image_use_forget(const struct image_store *store, const char *sha256);

#endif
