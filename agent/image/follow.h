/* SPDX-License-Identifier: MIT */
/*
 * A thread that follows a file being written and hashes it (SHA-256) from the page cache, so that receiving
 * never waits for hashing. The queue between the two is the file itself: nothing is held in memory.
 */
#ifndef PIAGENT_IMAGE_FOLLOW_H
#define PIAGENT_IMAGE_FOLLOW_H

#include <stdint.h>

#include "agent/base/error.h"
#include "agent/image/image.h"
#include "agent/image/meter.h"
#include "agent/image/unpack.h"

struct image_follow; /* one owner; not for two threads */

/* Starts at the beginning of fd. If unpack is not NULL, the bytes are unpacked too, and it belongs to the
 * thread until image_follow_digest() has returned. Both must outlive the thread. */
int image_follow_new(int fd, struct image_unpack *unpack, struct image_follow **ret, struct pi_error *err);

/* The first `bytes` bytes are written and stay as they are. */
void image_follow_advance(struct image_follow *follow, uint64_t bytes);

/* The file is void: starts from the beginning again. */
void image_follow_restart(struct image_follow *follow);

/* Waits until the thread has hashed size_bytes, all of which are written, and tells the SHA-256. PI_FAILED if
 * the file cannot be read, or with -ECANCELED; also the errors of image_unpack_feed(). */
int image_follow_digest(struct image_follow *follow, uint64_t size_bytes, struct image_meter *meter,
                        char ret_sha256[IMAGE_SHA256_LENGTH + 1], struct pi_error *err);

void image_follow_free(struct image_follow **follow);
#define pi_auto_image_follow __attribute__((cleanup(image_follow_free)))

#endif
