/* SPDX-License-Identifier: MIT */
/*
 * Unpacks and hashes compressed disk images (.xz by liblzma, .zst by libzstd) while their bytes come in. The
 * file has holes for zeros. Refuses a stream that needs a window of more than 128 MiB, and an image of more
 * than IMAGE_UNPACKED_MAX bytes.
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

/* Tells the packing by the suffix of a URL's last component; *length shrinks by the suffix. */
enum image_packing image_packing_of(const char *name, int *length);

struct image_unpack; /* one owner; not for two threads */

/* Unpacks into fd, an empty file that must outlive *ret. */
int image_unpack_new(enum image_packing packing, int fd, struct image_unpack **ret, struct pi_error *err);

/* The next bytes of the stream. PI_UNVERIFIED if they are damaged or unpack to too much; PI_HOST for a full
 * disk. */
int image_unpack_feed(struct image_unpack *unpack, const void *data, size_t size, struct pi_error *err);

/* Empties the file, and starts again from the beginning of the stream. */
int image_unpack_restart(struct image_unpack *unpack, struct pi_error *err);

/* After the last byte: the image's size and SHA-256. PI_UNVERIFIED if the stream is cut short. */
int image_unpack_finish(struct image_unpack *unpack, uint64_t *ret_size_bytes,
                        char ret_sha256[IMAGE_SHA256_LENGTH + 1], struct pi_error *err);

void image_unpack_free(struct image_unpack **unpack);
#define pi_auto_image_unpack __attribute__((cleanup(image_unpack_free)))

#endif
