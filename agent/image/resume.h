/* SPDX-License-Identifier: MIT */
/*
 * The proof that a fetch can go on with a partial: the object's validators (RFC 9110, 8.8 and 13.1.5), kept
 * beside the partial. The SHA-256 decides in the end all the same.
 */
#ifndef PIAGENT_IMAGE_RESUME_H
#define PIAGENT_IMAGE_RESUME_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/error.h"
#include "agent/base/proc.h"

/* Owns its strings: image_resume_done(). */
struct image_resume {
    char *url;                           /* the one that answered, after redirects */
    char *etag;                          /* strong, or NULL */
    char *last_modified;                 /* or NULL */
    uint64_t size_bytes;                 /* of the whole object; 0 = unknown */
    uint64_t done_bytes;                 /* of its beginning that are in the file */
    char boot_id[PI_BOOT_ID_LENGTH + 1]; /* of the host when it was saved; "" = it was not loaded */
};

/* Tells if a server can be asked for the rest only. */
bool image_resume_possible(const struct image_resume *resume);

/* Tells if the bytes are surely those that were written. After a power cut bytes that were never synced may
 * differ, and only a hash can tell. */
bool image_resume_is_intact(const struct image_resume *resume);

/* The value for If-Range: the ETag, else the date; NULL if there is neither. */
const char *image_resume_validator(const struct image_resume *resume);

/* Reads name in dir_fd. False if it is missing or cannot be used. */
bool image_resume_load(int dir_fd, const char *name, struct image_resume *ret);

/* Writes it in place: after a crash it is whole, or refused by image_resume_load(). Not synced. */
void image_resume_save(int dir_fd, const char *name, const struct image_resume *resume);

void image_resume_done(struct image_resume *resume);
#define pi_auto_image_resume __attribute__((cleanup(image_resume_done)))

#endif
