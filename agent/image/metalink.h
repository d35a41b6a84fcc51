/* SPDX-License-Identifier: MIT */
/*
 * Lists of mirrors as Fedora's MirrorManager makes them: Metalink 3 XML (specification 3.0 of 2007;
 * https://mirrors.fedoraproject.org/metalink answers with it). Nobody signs a list, so it only says which
 * servers to ask: the checksum comes from elsewhere. Pure functions.
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

/* Reads the list's entry for file. PI_NETWORK if the text is not a Metalink, has a document type (entities
 * are never expanded), or names no usable URL for file. Release *ret with image_metalink_done(). */
int image_metalink_parse(const char *text, size_t size, const char *file, struct image_metalink *ret,
                         struct pi_error *err);
void image_metalink_done(struct image_metalink *metalink);
#define pi_auto_image_metalink __attribute__((cleanup(image_metalink_done)))

#endif
