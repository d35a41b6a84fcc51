/* SPDX-License-Identifier: MIT */
/*
 * Immutable bytes with a count of references: a document of the seed must live as long as a response that
 * sends it, even if its registry entry is removed. Not for several threads at once.
 */
#ifndef IMDS_BLOB_H
#define IMDS_BLOB_H

#include <stddef.h>

struct imds_blob {
    size_t references;
    size_t size; /* of bytes */
    char bytes[];
};

/* A copy of the bytes with one reference, the caller's; NULL without memory. data may be NULL if size is
 * 0. */
struct imds_blob *imds_blob_new(const void *data, size_t size);

/* One more reference; returns blob. */
struct imds_blob *imds_blob_ref(struct imds_blob *blob);

/* One reference fewer; the last one frees. NULL is fine. */
void imds_blob_unref(struct imds_blob *blob);

/* The blob whose bytes these are. */
struct imds_blob *imds_blob_of(void *bytes);

#endif
