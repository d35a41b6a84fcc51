/* SPDX-License-Identifier: MIT */
#include "imds/blob.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct imds_blob *imds_blob_new(const void *data, size_t size)
{
    if (size > SIZE_MAX - sizeof(struct imds_blob))
        return NULL;
    struct imds_blob *blob = malloc(sizeof(*blob) + size);
    if (!blob)
        return NULL;
    blob->references = 1;
    blob->size = size;
    if (size > 0)
        memcpy(blob->bytes, data, size);
    return blob;
}

struct imds_blob *imds_blob_ref(struct imds_blob *blob)
{
    blob->references++;
    return blob;
}

void imds_blob_unref(struct imds_blob *blob)
{
    if (blob && --blob->references == 0)
        free(blob);
}

struct imds_blob *imds_blob_of(void *bytes)
{
    return (struct imds_blob *)((char *)bytes - offsetof(struct imds_blob, bytes));
}
