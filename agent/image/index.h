/* SPDX-License-Identifier: MIT */
/*
 * Fedora's index of images, https://fedoraproject.org/releases.json: an array of objects whose values are all
 * strings. It names every spin of every maintained release. This finds the right Cloud image in it. Pure
 * functions.
 */
#ifndef PIAGENT_IMAGE_INDEX_H
#define PIAGENT_IMAGE_INDEX_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/error.h"
#include "agent/image/name.h"
#include "agent/image/provenance.h"
#include "agent/image/ref.h"

#define IMAGE_INDEX_MAX ((size_t)2 << 20) /* the real one is about 200 KiB */

/* Parses the index. A new reference; NULL (PI_NETWORK) if the text is something else. */
json_t *image_index_parse(const char *text, size_t size, struct pi_error *err);

struct image_entry {
    struct image_name name;
    char file[128];
    char link[IMAGE_URL_MAX];
    char sha256[IMAGE_SHA256_LENGTH + 1]; /* lower case; "" if the index has none */
    uint64_t size_bytes;                  /* 0 if the index has none */
};

/*
 * The generic Cloud image of a release ("44", "45 Beta"; "" = the newest stable one) for arch. An entry
 * counts only if its variant, subvariant, file name, version and architecture agree. PI_NOT_FOUND, with the
 * releases that the index has, if none does.
 */
int image_index_choose(const json_t *index, const char *release, const char *arch, struct image_entry *ret,
                       struct pi_error *err);

#endif
