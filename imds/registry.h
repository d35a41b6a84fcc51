/* SPDX-License-Identifier: MIT */
/*
 * Maps keys to seeds, reports and lists of peers. A key gives access to a seed, to the reports of an instance, or to
 * both, or to a list of its peers. It is a secret of 128 random bits, written as 32 lower-case hexadecimal digits. Only a
 * client that knows it may read that seed or list, or report for that instance.
 *
 * A lookup compares every entry, 64 bits at a time and without stopping early, so that its time tells nothing
 * about any key. Not for several threads at once.
 */
#ifndef IMDS_REGISTRY_H
#define IMDS_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "imds/blob.h"

#define IMDS_KEY_LENGTH 32

/* The documents of a NoCloud seed (cloud-init's DataSourceNoCloud; network-config is fetched since 24.3), and one beside
 * it: the other guests that this one works with, in JSON of the caller's own. */
enum imds_document {
    IMDS_META_DATA,
    IMDS_USER_DATA,
    IMDS_VENDOR_DATA,
    IMDS_NETWORK_CONFIG,
    IMDS_SEED_DOCUMENTS,
    IMDS_PEERS = IMDS_SEED_DOCUMENTS,
    IMDS_DOCUMENTS
};

/* The document's name in the URL: "meta-data", "user-data", "vendor-data", "network-config", "peers". */
const char *imds_document_name(enum imds_document document);

struct imds_bytes {
    const void *data; /* may be NULL if size is 0 */
    size_t size;
};

/* An empty document is served as an empty body. cloud-init would ask for a missing one again for 10
 * seconds. */
struct imds_seed {
    struct imds_bytes documents[IMDS_SEED_DOCUMENTS];
};

struct imds_entry {
    uint64_t key[2];
    void *owner; /* the caller's pointer, passed to its callbacks */
    bool reports;
    struct imds_blob *documents[IMDS_DOCUMENTS]; /* NULL = no access */
};

struct imds_registry;

/* 0 or -ENOMEM. */
int imds_registry_new(struct imds_registry **ret);
void imds_registry_free(struct imds_registry *registry);

/* From now on key gives access to a copy of the seed (NULL = none) and, if reports is set, lets a guest
 * report. Replaces what the key gave access to before. 0, -EINVAL (not a key) or -ENOMEM; nothing has changed
 * on failure. */
int imds_registry_put(struct imds_registry *registry, const char *key, const struct imds_seed *seed,
                      bool reports, void *owner);

/* From now on key gives access to a copy of the list, the document IMDS_PEERS, and to nothing else. As
 * imds_registry_put(). */
int imds_registry_put_peers(struct imds_registry *registry, const char *key, const struct imds_bytes *peers,
                            void *owner);

/* 0, -ENOENT or -EINVAL (not a key). Responses under way are still sent whole. */
int imds_registry_remove(struct imds_registry *registry, const char *key);

/* The entry, valid until the next change of the registry; NULL if key is unknown or not a key. */
const struct imds_entry *imds_registry_find(const struct imds_registry *registry, const char *key);

/* Tells if text (which may be shorter) begins with IMDS_KEY_LENGTH digits of a key. */
bool imds_key_leads(const char *text);

#endif
