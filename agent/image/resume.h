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
    char *url;                           /* that answered in the end, after redirects */
    char *etag;                          /* strong, or NULL */
    char *last_modified;                 /* or NULL */
    uint64_t size_bytes;                 /* of the whole object; 0 = unknown */
    uint64_t done_bytes;                 /* from its beginning that are in the file */
    char boot_id[PI_BOOT_ID_LENGTH + 1]; /* of the host when it was saved; "" = it was not loaded */
};

/* Tells if there are bytes that a server can be asked to go on from. */
bool image_resume_possible(const struct image_resume *resume);

/* Tells if the bytes are as they were written. After a power cut, those that were never synced may be others:
 * only a hash can tell. */
bool image_resume_is_intact(const struct image_resume *resume);

/* The value for If-Range: the ETag, else the date; NULL if there is neither. */
const char *image_resume_validator(const struct image_resume *resume);

/* Reads name in dir_fd. False if there is none that can be used. */
bool image_resume_load(int dir_fd, const char *name, struct image_resume *ret);

/* Writes it in place: after a crash it is whole, or refused by image_resume_load(). Not synced. */
void image_resume_save(int dir_fd, const char *name, const struct image_resume *resume);

void image_resume_done(struct image_resume *resume);
#define pi_auto_image_resume __attribute__((cleanup(image_resume_done)))

#endif
