/* SPDX-License-Identifier: MIT */
/*
 * The facts about an image in the store. One table binds the struct to JSON: the provenance beside the stored
 * file, the last line of `piagent image fetch --json`, and a row of `piagent image ls --json`.
 */
#ifndef PIAGENT_IMAGE_PROVENANCE_H
#define PIAGENT_IMAGE_PROVENANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/fields.h"
#include "agent/image/qcow2.h"

#define IMAGE_SHA256_LENGTH 64
#define IMAGE_SCHEMA        1
#define IMAGE_ARCH_MAX      15

/* The source of the expected SHA-256. */
enum image_checksum_source {
    IMAGE_CHECKSUM_NONE,  /* none: the user took the image unverified */
    IMAGE_CHECKSUM_USER,  /* --sha256 */
    IMAGE_CHECKSUM_INDEX, /* Fedora's index */
    IMAGE_CHECKSUM_FILE,  /* the CHECKSUM file of the release */
};

/* Owns its strings: image_done(). Zeroed memory is a valid empty image. */
struct image {
    uint64_t schema;                             /* IMAGE_SCHEMA */
    char sha256[IMAGE_SHA256_LENGTH + 1];        /* lower case; identifies the image */
    char packed_sha256[IMAGE_SHA256_LENGTH + 1]; /* of the compressed file; "" = it came uncompressed */
    char *name;                                  /* the file's name at its source */
    char *release; /* "44"; NULL unless it was resolved through Fedora's index */
    char *arch;    /* "x86_64" or "aarch64" */
    char partitions_arch[IMAGE_ARCH_MAX +
                         1];     /* the one that its partitions are for (arch.h); "" = not looked at */
    char *source;                /* the URL, or the absolute path of the imported file */
    char *etag, *last_modified;  /* the source's validators then (resume.h), or NULL */
    enum image_format format;    /* tell it to QEMU: never let QEMU guess */
    uint64_t size_bytes;         /* of the file */
    uint64_t virtual_size_bytes; /* of the disk in it */
    bool verified;               /* the SHA-256 was compared with that of checksum_source */
    enum image_checksum_source checksum_source; /* "none", "user", "index", "checksum-file" in JSON */
    char *signer; /* primary fingerprint of the key whose signature covers the SHA-256; NULL = unsigned */
    bool allow_unsigned;      /* unsigned, and the user accepted that */
    uint64_t mtime_ns, inode; /* of the stored file when it was hashed: image_check(); 0 = not recorded */
    uint64_t fetched_ms;      /* since 1970 */
    char *path;               /* of the stored file, absolute; not in the provenance on disk */
    char *note;               /* a note for the user, or NULL; not on disk */
};

extern const struct pi_field image_fields[];

void image_done(struct image *image);
#define pi_auto_image __attribute__((cleanup(image_done)))

/* Replaces one of its strings. 0 or -ENOMEM. */
int image_set(char **field, const char *value);

#endif
