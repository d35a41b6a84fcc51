/* SPDX-License-Identifier: MIT */
#include "imds/registry.h"

#include <errno.h>
#include <stdlib.h>

struct imds_registry {
    struct imds_entry *entries;
    size_t count;
    size_t capacity;
};

static const char *const document_names[IMDS_DOCUMENTS] = {
    [IMDS_META_DATA] = "meta-data",
    [IMDS_USER_DATA] = "user-data",
    [IMDS_VENDOR_DATA] = "vendor-data",
    [IMDS_NETWORK_CONFIG] = "network-config",
    [IMDS_PEERS] = "peers",
};

const char *imds_document_name(enum imds_document document)
{
    return document_names[document];
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool imds_key_leads(const char *text)
{
    for (size_t i = 0; i < IMDS_KEY_LENGTH; i++)
        if (digit_value(text[i]) < 0)
            return false;
    return true;
}

static int key_parse(const char *text, uint64_t ret[2])
{
    if (!imds_key_leads(text) || text[IMDS_KEY_LENGTH] != '\0')
        return -EINVAL;
    ret[0] = ret[1] = 0;
    for (size_t i = 0; i < IMDS_KEY_LENGTH; i++) {
        uint64_t *half = &ret[i / (IMDS_KEY_LENGTH / 2)];
        *half = *half << 4 | (uint64_t)digit_value(text[i]);
    }
    return 0;
}

/* The entry's index, or count. No branch depends on a key. */
static size_t find_position(const struct imds_registry *registry, const uint64_t key[2])
{
    size_t found = registry->count;
    for (size_t i = 0; i < registry->count; i++) {
        const uint64_t *have = registry->entries[i].key;
        uint64_t difference = (have[0] ^ key[0]) | (have[1] ^ key[1]);
        size_t same = (size_t)0 - (size_t)(difference == 0);
        found ^= (found ^ i) & same;
    }
    return found;
}

const struct imds_entry *imds_registry_find(const struct imds_registry *registry, const char *key)
{
    uint64_t wanted[2];
    if (key_parse(key, wanted) < 0)
        return NULL;
    size_t i = find_position(registry, wanted);
    return i < registry->count ? &registry->entries[i] : NULL;
}

int imds_registry_new(struct imds_registry **ret)
{
    struct imds_registry *registry = calloc(1, sizeof(*registry));
    if (!registry)
        return -ENOMEM;
    *ret = registry;
    return 0;
}

static void entry_done(struct imds_entry *entry)
{
    for (size_t i = 0; i < IMDS_DOCUMENTS; i++)
        imds_blob_unref(entry->documents[i]);
}

void imds_registry_free(struct imds_registry *registry)
{
    if (!registry)
        return;
    for (size_t i = 0; i < registry->count; i++)
        entry_done(&registry->entries[i]);
    free(registry->entries);
    free(registry);
}

static int grow_registry(struct imds_registry *registry)
{
    if (registry->count < registry->capacity)
        return 0;
    size_t capacity = registry->capacity ? registry->capacity * 2 : 16;
    struct imds_entry *entries = reallocarray(registry->entries, capacity, sizeof(*entries));
    if (!entries)
        return -ENOMEM;
    registry->entries = entries;
    registry->capacity = capacity;
    return 0;
}

/* Takes over the entry's documents, also on failure. r is the error of making them. */
static int put_entry(struct imds_registry *registry, const char *key, struct imds_entry *entry, int r)
{
    if (r == 0)
        r = key_parse(key, entry->key);
    if (r == 0)
        r = grow_registry(registry);
    if (r < 0) {
        entry_done(entry);
        return r;
    }
    size_t i = find_position(registry, entry->key);
    if (i < registry->count)
        entry_done(&registry->entries[i]);
    else
        registry->count++;
    registry->entries[i] = *entry;
    return 0;
}

static int copy_document(const struct imds_bytes *bytes, struct imds_blob **ret)
{
    *ret = imds_blob_new(bytes->data, bytes->size);
    return *ret ? 0 : -ENOMEM;
}

int imds_registry_put(struct imds_registry *registry, const char *key, const struct imds_seed *seed,
                      bool reports, void *owner)
{
    struct imds_entry entry = {.owner = owner, .reports = reports};
    int r = 0;
    for (size_t i = 0; seed && r == 0 && i < IMDS_SEED_DOCUMENTS; i++)
        r = copy_document(&seed->documents[i], &entry.documents[i]);
    return put_entry(registry, key, &entry, r);
}

int imds_registry_put_peers(struct imds_registry *registry, const char *key, const struct imds_bytes *peers,
                            void *owner)
{
    struct imds_entry entry = {.owner = owner};
    return put_entry(registry, key, &entry, copy_document(peers, &entry.documents[IMDS_PEERS]));
}

int imds_registry_remove(struct imds_registry *registry, const char *key)
{
    uint64_t wanted[2];
    int r = key_parse(key, wanted);
    if (r < 0)
        return r;
    size_t i = find_position(registry, wanted);
    if (i == registry->count)
        return -ENOENT;
    entry_done(&registry->entries[i]);
    registry->entries[i] = registry->entries[--registry->count];
    return 0;
}
