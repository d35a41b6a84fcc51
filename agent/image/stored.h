/* SPDX-License-Identifier: MIT */
/* Tells if the store already has the image that a fetch wants. */
#ifndef PIAGENT_IMAGE_STORED_H
#define PIAGENT_IMAGE_STORED_H

#include "agent/image/steps.h"

/*
 * Tells if the store has the wanted image. If so, *image becomes the stored one. Finds it by its SHA-256. If
 * that is unknown, finds it by its source, if the source still serves the same or cannot be asked. Records
 * what the fetch knows better: the checksum of an image that was unverified, newer validators, the latest
 * source of an unverified image.
 */
bool image_is_stored(struct image_fetch *fetch, struct image *image);

/* The stored image of the wanted one's SHA-256, or of its source; not checked any further. */
bool image_find_stored(const struct image_fetch *fetch, const struct image *wanted, struct image *ret);

/* Tells if a stored image is still good. Hashes it again if the quick check cannot tell. */
bool image_still_good(struct image_fetch *fetch, struct image *stored);

#endif
