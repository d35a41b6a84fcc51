/* SPDX-License-Identifier: MIT */
/* SHA-256 values as text, and the CHECKSUM files that Fedora publishes beside its images. Pure functions. */
#ifndef PIAGENT_IMAGE_CHECKSUM_H
#define PIAGENT_IMAGE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#include "agent/base/error.h"
#include "agent/image/provenance.h"

#define IMAGE_CHECKSUM_FILE_MAX ((size_t)256 << 10)

/* 64 hexadecimal digits, made lower case. Else -EINVAL (PI_USAGE). */
int image_sha256_parse(const char *text, char ret[IMAGE_SHA256_LENGTH + 1], struct pi_error *err);

struct image_checksum {
    char sha256[IMAGE_SHA256_LENGTH + 1];
    uint64_t size_bytes; /* 0 if the file has none */
};

/*
 * Finds the checksum of one file in the text of a CHECKSUM file:
 *
 *     # Fedora-Cloud-Base-Generic-44-1.7.x86_64.qcow2: 491716608 bytes
 *     SHA256 (Fedora-Cloud-Base-Generic-44-1.7.x86_64.qcow2) = 6205ae0c...
 *
 * If the text is clearsigned (RFC 9580, 7), only the text between its armor lines counts; the signature is
 * not looked at. PI_UNVERIFIED if the file is not named, is named twice, or a line is damaged.
 */
int image_checksum_find(const char *text, size_t size, const char *file, struct image_checksum *ret,
                        struct pi_error *err);

#endif
