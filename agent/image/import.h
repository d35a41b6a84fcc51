/* SPDX-License-Identifier: MIT */
/* Fetches a local file. */
#ifndef PIAGENT_IMAGE_IMPORT_H
#define PIAGENT_IMAGE_IMPORT_H

#include "agent/image/steps.h"

/* Hashes the file, compares its SHA-256 with the request's, and copies it into the store. */
int image_import(struct image_fetch *fetch, struct image *ret, struct pi_error *err);

/* Fills in what the file's header says. PI_UNVERIFIED if nothing is to prove what it is: that needs no hash. */
int image_import_expect(struct image_fetch *fetch, struct image *image, struct pi_error *err);

#endif
