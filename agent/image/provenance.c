/* SPDX-License-Identifier: MIT */
#include "agent/image/provenance.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const image_checksum_source_names[] = {
    [IMAGE_CHECKSUM_NONE] = "none",   [IMAGE_CHECKSUM_USER] = "user",
    [IMAGE_CHECKSUM_INDEX] = "index", [IMAGE_CHECKSUM_FILE] = "checksum-file",
    [IMAGE_CHECKSUM_FILE + 1] = NULL,
};

const struct pi_field image_fields[] = {
    PI_FIELD(image, schema, PI_FIELD_U64, .required = true, .min = IMAGE_SCHEMA, .max = IMAGE_SCHEMA),
    PI_FIELD(image, sha256, PI_FIELD_TEXT, .required = true),
    PI_FIELD(image, packed_sha256, PI_FIELD_TEXT),
    PI_FIELD(image, name, PI_FIELD_STRING, .required = true),
    PI_FIELD(image, release, PI_FIELD_STRING),
    PI_FIELD(image, arch, PI_FIELD_STRING, .required = true),
    PI_FIELD(image, partitions_arch, PI_FIELD_TEXT),
    PI_FIELD(image, source, PI_FIELD_STRING, .required = true),
    PI_FIELD(image, etag, PI_FIELD_STRING),
    PI_FIELD(image, last_modified, PI_FIELD_STRING),
    PI_ENUM(image, format, image_format, .required = true),
    PI_FIELD(image, size_bytes, PI_FIELD_U64, .required = true),
    PI_FIELD(image, virtual_size_bytes, PI_FIELD_U64, .required = true),
    PI_FIELD(image, verified, PI_FIELD_BOOL, .required = true),
    PI_ENUM(image, checksum_source, image_checksum_source, .required = true),
    PI_FIELD(image, signer, PI_FIELD_STRING),
    PI_FIELD(image, allow_unsigned, PI_FIELD_BOOL),
    PI_FIELD(image, mtime_ns, PI_FIELD_U64),
    PI_FIELD(image, inode, PI_FIELD_U64),
    PI_FIELD(image, fetched_ms, PI_FIELD_U64, .required = true),
    PI_FIELD(image, path, PI_FIELD_STRING),
    PI_FIELD(image, note, PI_FIELD_STRING),
    {0},
};

void image_done(struct image *image)
{
    pi_fields_done(image_fields, image);
}

int image_set(char **field, const char *value)
{
    char *copy = strdup(value);
    if (!copy)
        return -ENOMEM;
    free(*field);
    *field = copy;
    return 0;
}
