/* SPDX-License-Identifier: MIT */
/* Last step of the fetch of an image that has URLs: downloads it into the store. */
#ifndef PIAGENT_IMAGE_DOWNLOAD_H
#define PIAGENT_IMAGE_DOWNLOAD_H

#include "agent/image/steps.h"

/*
 * Tries one URL after the other, and Fedora's list of mirrors after them, until one has brought the image.
 * Hashes it (and unpacks it) meanwhile, verifies it, and publishes it. The image came from image_resolve().
 */
int image_download(struct image_fetch *fetch, struct image *image, struct pi_error *err);

#endif
