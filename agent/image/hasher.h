/* SPDX-License-Identifier: MIT */
/*
 * A thread that hashes (SHA-256) a file while it is written, from the page cache, so that receiving never
 * waits for hashing. The file itself is the queue between the two.
 */
#ifndef PIAGENT_IMAGE_HASHER_H
#define PIAGENT_IMAGE_HASHER_H

#include <stdint.h>

#include "agent/base/error.h"
#include "agent/image/meter.h"
#include "agent/image/provenance.h"
#include "agent/image/unpack.h"

struct image_hasher; /* one owner; not for two threads */

/* Starts at the beginning of fd. If unpack is not NULL, the thread also unpacks the bytes, and owns unpack
 * until image_hasher_digest() has returned. fd and unpack must outlive the thread. */
int image_hasher_new(int fd, struct image_unpack *unpack, struct image_hasher **ret, struct pi_error *err);

/* Tells the thread that the first `bytes` bytes are written and will not change. */
void image_hasher_advance(struct image_hasher *hasher, uint64_t bytes);

/* Starts again from the beginning: the bytes so far were not the right ones. */
void image_hasher_restart(struct image_hasher *hasher);

/* Waits until the thread has hashed size_bytes, all of which are written, and tells the SHA-256. PI_FAILED if
 * the file cannot be read, or with -ECANCELED; also the errors of image_unpack_feed(). */
int image_hasher_digest(struct image_hasher *hasher, uint64_t size_bytes, struct image_meter *meter,
                        char ret_sha256[IMAGE_SHA256_LENGTH + 1], struct pi_error *err);

void image_hasher_free(struct image_hasher **hasher);
#define pi_auto_image_hasher __attribute__((cleanup(image_hasher_free)))

#endif
