/* SPDX-License-Identifier: MIT */
/* First step of a fetch that is no import: which image is meant, where it can be had, and who says what its
 * SHA-256 must be. */
#ifndef PIAGENT_IMAGE_RESOLVE_H
#define PIAGENT_IMAGE_RESOLVE_H

#include "agent/image/steps.h"

/* Resolves a Fedora reference or a URL. If the store has the image, ret->path is set and the fetch is done.
 */
int image_resolve(struct image_fetch *fetch, struct image *ret, struct pi_error *err);

#endif
