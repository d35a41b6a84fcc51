/* SPDX-License-Identifier: MIT */
/* SHA-256 of streams and files (FIPS 180-4), by libcrypto for its use of the CPU's instructions. */
#ifndef PIAGENT_IMAGE_DIGEST_H
#define PIAGENT_IMAGE_DIGEST_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/error.h"
#include "agent/image/meter.h"
#include "agent/image/provenance.h"

/* A running SHA-256, the caller's; NULL without memory. Feed it by EVP_DigestUpdate(). */
EVP_MD_CTX *image_digest_new(void);
void image_digest_hex(EVP_MD_CTX *digest, char ret[IMAGE_SHA256_LENGTH + 1]);

static inline void image_digest_free(EVP_MD_CTX **digest)
{
    EVP_MD_CTX_free(*digest);
}
#define pi_auto_digest __attribute__((cleanup(image_digest_free)))

/* 0 or -ENOMEM. */
int image_digest_bytes(const void *data, size_t size, char ret[IMAGE_SHA256_LENGTH + 1]);

/* The digest of a string: a name for something whose own digest is not known yet. */
int image_digest_text(const char *text, char ret[IMAGE_SHA256_LENGTH + 1]);

/*
 * Reads all of the file `from`, total_bytes long, and hashes it. Writes it to `to` if that is not negative,
 * leaving holes for zeros. Steps the meter. PI_CONFLICT if the file's length has changed.
 */
int image_digest_file(int from, int to, uint64_t total_bytes, struct image_meter *meter,
                      char ret[IMAGE_SHA256_LENGTH + 1], struct pi_error *err);

/* Tells if all of size bytes (at least 1) are zero, so that they can be a hole. */
bool image_is_zero(const void *data, size_t size);

#endif
