/* SPDX-License-Identifier: MIT */
/*
 * Fedora's releases as they are known without asking anyone: who signs them, and what their images are called
 * once the index has dropped them. Pure functions.
 */
#ifndef PIAGENT_IMAGE_RELEASE_H
#define PIAGENT_IMAGE_RELEASE_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/image/name.h"

#define IMAGE_FINGERPRINT_LENGTH 40

/* The primary fingerprint (upper case) of the key that signs a release ("44", "45 Beta"), as Fedora publishes
 * it on https://fedoraproject.org/security; NULL for a release that is not known here. */
const char *image_release_signer(const char *release);

/* The releases whose signer is known here, from the oldest, by their numbers; 0 after the last. */
unsigned image_release_known(size_t index);

/* The name of a stable release's generic Cloud image; false for a release that is not known here. */
bool image_release_name(const char *release, const char *arch, struct image_name *ret);

/* "40 hexadecimal digits", made upper case. 0 or -EINVAL. */
int image_fingerprint_parse(const char *text, char ret[IMAGE_FINGERPRINT_LENGTH + 1]);

#endif
