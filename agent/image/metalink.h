/* SPDX-License-Identifier: MIT */
/*
 * Lists of mirrors as Fedora's MirrorManager makes them: Metalink 3 XML (its specification 3.0 of 2007; a
 * sample is what https://mirrors.fedoraproject.org/metalink answers). Unsigned: a list says where to ask, the
 * checksum from elsewhere decides. Pure functions.
 */
#ifndef PIAGENT_IMAGE_METALINK_H
#define PIAGENT_IMAGE_METALINK_H

#include <stddef.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/image/provenance.h"

#define IMAGE_METALINK_MAX     ((size_t)256 << 10)
#define IMAGE_METALINK_MIRRORS 8 /* the best ones of a list are enough */

struct image_metalink {
    struct pi_strv urls;                  /* http and https, the preferred ones first; one a host */
    uint64_t size_bytes;                  /* 0 if the list has none */
    char sha256[IMAGE_SHA256_LENGTH + 1]; /* lower case; "" if the list has none */
    uint64_t connections;                 /* to one mirror at most; 0 if the list has none */
};

/* Reads what the list says of file. PI_NETWORK if it is no Metalink, has a document type (no entities are
 * ever expanded), or names no usable URL for file. The caller's: image_metalink_done(). */
int image_metalink_parse(const char *text, size_t size, const char *file, struct image_metalink *ret,
                         struct pi_error *err);
void image_metalink_done(struct image_metalink *metalink);
#define pi_auto_image_metalink __attribute__((cleanup(image_metalink_done)))

#endif
