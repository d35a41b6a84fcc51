/* SPDX-License-Identifier: MIT */
/*
 * A thread that follows a file being written and hashes it (SHA-256) from the page cache, so that receiving
 * never waits for hashing. The queue between the two is the file itself: nothing is held in memory.
 */
#ifndef PIAGENT_IMAGE_HASHER_H
#define PIAGENT_IMAGE_HASHER_H

#include <stdint.h>

#include "agent/base/error.h"
#include "agent/image/meter.h"
#include "agent/image/provenance.h"
#include "agent/image/unpack.h"

struct image_hasher; /* one owner; not for two threads */

/* Starts at the beginning of fd. If unpack is not NULL, the bytes are unpacked too, and it belongs to the
 * thread until image_hasher_digest() has returned. Both must outlive the thread. */
int image_hasher_new(int fd, struct image_unpack *unpack, struct image_hasher **ret, struct pi_error *err);

/* The first `bytes` bytes are written and stay as they are. */
void image_hasher_advance(struct image_hasher *hasher, uint64_t bytes);

/* The file is void: starts from the beginning again. */
void image_hasher_restart(struct image_hasher *hasher);

/* Waits until the thread has hashed size_bytes, all of which are written, and tells the SHA-256. PI_FAILED if
 * the file cannot be read, or with -ECANCELED; also the errors of image_unpack_feed(). */
int image_hasher_digest(struct image_hasher *hasher, uint64_t size_bytes, struct image_meter *meter,
                        char ret_sha256[IMAGE_SHA256_LENGTH + 1], struct pi_error *err);

void image_hasher_free(struct image_hasher **hasher);
#define pi_auto_image_hasher __attribute__((cleanup(image_hasher_free)))

#endif
