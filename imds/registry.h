/* SPDX-License-Identifier: MIT */
/*
 * What each key opens: a seed, the reports of an instance, or both. A key is a secret of 128 random bits,
 * written as 32 lower-case hexadecimal digits; whoever knows it may read that seed or report for that
 * instance, and nobody else may.
 *
 * A lookup compares every entry, whole machine words at a time and without stopping early, so its time tells
 * nothing about any key. Not for several threads at once.
 */
#ifndef IMDS_REGISTRY_H
#define IMDS_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "imds/blob.h"

#define IMDS_KEY_LENGTH 32

/* The documents of a NoCloud seed (cloud-init's DataSourceNoCloud; network-config is fetched since 24.3). */
enum imds_document { IMDS_META_DATA, IMDS_USER_DATA, IMDS_VENDOR_DATA, IMDS_NETWORK_CONFIG, IMDS_DOCUMENTS };

/* The document's name in the URL: "meta-data", "user-data", "vendor-data", "network-config". */
const char *imds_document_name(enum imds_document document);

struct imds_bytes {
    const void *data; /* may be NULL where size is 0 */
    size_t size;
};

/* An empty document is served as an empty body; cloud-init would try a missing one again for 10 seconds. */
struct imds_seed {
    struct imds_bytes documents[IMDS_DOCUMENTS];
};

struct imds_entry {
    uint64_t key[2];
    void *owner; /* the caller's, handed to its callbacks; never looked into */
    bool reports;
    struct imds_blob *documents[IMDS_DOCUMENTS]; /* NULL: without a seed */
};

struct imds_registry;

/* 0 or -ENOMEM. */
int imds_registry_new(struct imds_registry **ret);
void imds_registry_free(struct imds_registry *registry);

/* From now on key opens a copy of the seed (NULL = none) and, where reports is set, takes reports, in place
 * of what it opened before. 0, -EINVAL (not a key) or -ENOMEM; nothing has changed on failure. */
int imds_registry_put(struct imds_registry *registry, const char *key, const struct imds_seed *seed,
                      bool reports, void *owner);

/* 0, -ENOENT or -EINVAL (not a key). Responses under way still end whole. */
int imds_registry_remove(struct imds_registry *registry, const char *key);

/* The entry, valid until the next change of the registry; NULL where key is unknown or not a key. */
const struct imds_entry *imds_registry_find(const struct imds_registry *registry, const char *key);

/* Whether the first IMDS_KEY_LENGTH characters of text (which may end sooner) are written as a key is. */
bool imds_key_leads(const char *text);

#endif
