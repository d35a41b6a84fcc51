/* SPDX-License-Identifier: MIT */
/*
 * Compressed disk images (.xz by liblzma, .zst by libzstd), unpacked as their bytes come in: into a file that
 * has holes where the image is zero, hashed on the way. Memory is bounded: a stream that needs a window of
 * more than 128 MiB is refused, and so is an image of more than IMAGE_UNPACKED_MAX bytes.
 */
#ifndef PIAGENT_IMAGE_UNPACK_H
#define PIAGENT_IMAGE_UNPACK_H

#include <stddef.h>
#include <stdint.h>

#include "agent/base/error.h"
#include "agent/image/provenance.h"

#define IMAGE_UNPACKED_MAX ((uint64_t)64 << 30)

enum image_packing {
    IMAGE_UNPACKED,
    IMAGE_XZ,
    IMAGE_ZST,
};

/* By the end of a URL's last component, whose length shrinks by the suffix. */
enum image_packing image_packing_of(const char *name, int *length);

struct image_unpack; /* one owner; not for two threads */

/* Unpacks into fd, an empty file that outlives it. */
int image_unpack_new(enum image_packing packing, int fd, struct image_unpack **ret, struct pi_error *err);

/* The next bytes of the stream. PI_UNVERIFIED if they are damaged or unpack to too much; PI_HOST for a full
 * disk. */
int image_unpack_feed(struct image_unpack *unpack, const void *data, size_t size, struct pi_error *err);

/* The stream is void: from the beginning again, the file empty. */
int image_unpack_restart(struct image_unpack *unpack, struct pi_error *err);

/* After the last byte: the image's size and SHA-256. PI_UNVERIFIED if the stream is cut short. */
int image_unpack_finish(struct image_unpack *unpack, uint64_t *ret_size_bytes,
                        char ret_sha256[IMAGE_SHA256_LENGTH + 1], struct pi_error *err);

void image_unpack_free(struct image_unpack **unpack);
#define pi_auto_image_unpack __attribute__((cleanup(image_unpack_free)))

#endif
