/* SPDX-License-Identifier: MIT */
/* The first step of a fetch from the network: finds out which image the user means, the URLs that have it,
 * and the SHA-256 that it must have. */
#ifndef PIAGENT_IMAGE_RESOLVE_H
#define PIAGENT_IMAGE_RESOLVE_H

#include "agent/image/steps.h"

/* Resolves a Fedora reference or a URL. If the store has the image, ret->path is set and the fetch is done.
 */
int image_resolve(struct image_fetch *fetch, struct image *ret, struct pi_error *err);

#endif
