/* SPDX-License-Identifier: MIT */
/*
 * The releases of Fedora that this program knows by itself: the keys that sign them, and the names of their
 * images, which the index drops after the end of a release. Pure functions.
 */
#ifndef PIAGENT_IMAGE_RELEASE_H
#define PIAGENT_IMAGE_RELEASE_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/image/name.h"

#define IMAGE_FINGERPRINT_LENGTH 40

/* The primary fingerprint (upper case) of the key that signs a release ("44", "45 Beta"), as Fedora publishes
 * it on https://fedoraproject.org/security; NULL for an unknown release. */
const char *image_release_signer(const char *release);

/* The number of the index-th release whose signer is known, from the oldest; 0 after the last. */
unsigned image_release_known(size_t index);

/* The name of a stable release's generic Cloud image; false for an unknown release. */
bool image_release_name(const char *release, const char *arch, struct image_name *ret);

/* 40 hexadecimal digits, made upper case. 0 or -EINVAL. */
int image_fingerprint_parse(const char *text, char ret[IMAGE_FINGERPRINT_LENGTH + 1]);

#endif
