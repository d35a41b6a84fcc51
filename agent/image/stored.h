/* SPDX-License-Identifier: MIT */
/* If the store already has the image that a fetch wants. */
#ifndef PIAGENT_IMAGE_STORED_H
#define PIAGENT_IMAGE_STORED_H

#include "agent/image/steps.h"

/*
 * Tells if the store has the image that is wanted; *image is the stored one then. It is found by its SHA-256.
 * If none is known, it is found by its source, as long as that serves the same as before or cannot be asked.
 * Better knowledge is recorded: a checksum of an image that was unverified, newer validators, and the source
 * that an unverified image came from last.
 */
bool image_is_stored(struct image_fetch *fetch, struct image *image);

/* Tells if a stored image is the one that was verified. Hashes it again if the quick check cannot tell. */
bool image_still_good(struct image_fetch *fetch, struct image *stored);

#endif
