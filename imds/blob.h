/* SPDX-License-Identifier: MIT */
/*
 * Immutable bytes with a count of references: a seed document outlives its registry entry while a response
 * that carries it is still under way. Not for several threads at once.
 */
#ifndef IMDS_BLOB_H
#define IMDS_BLOB_H

#include <stddef.h>

struct imds_blob {
    size_t references;
    size_t size; /* of bytes */
    char bytes[];
};

/* A copy of the bytes with one reference, the caller's; NULL without memory. data may be NULL where size is
 * 0. */
struct imds_blob *imds_blob_new(const void *data, size_t size);

/* One more reference; returns blob. */
struct imds_blob *imds_blob_ref(struct imds_blob *blob);

/* One reference fewer; the last one frees. NULL is nothing to do. */
void imds_blob_unref(struct imds_blob *blob);

/* The blob whose bytes these are. */
struct imds_blob *imds_blob_of(void *bytes);

#endif
