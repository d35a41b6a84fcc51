/* SPDX-License-Identifier: MIT */
#include "agent/image/index.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/text.h"
#include "agent/image/checksum.h"

#define LISTED_MAX 256 /* bytes of release names in a message */

json_t *image_index_parse(const char *text, size_t size, struct pi_error *err)
{
    json_error_t at;
    json_t *index = size <= IMAGE_INDEX_MAX ? json_loadb(text, size, JSON_REJECT_DUPLICATES, &at) : NULL;
    if (json_is_array(index))
        return index;
    json_decref(index);
    pi_refuse(err, PI_NETWORK,
              "this is not Fedora's index of images (a login page or a proxy may answer in its "
              "place): open it in a browser, or try again later");
    return NULL;
}

static const char *entry_text(const json_t *entry, const char *key)
{
    const char *text = json_string_value(json_object_get(entry, key));
    return text ? text : "";
}

/* Tells if a file's name fits the version. Not all betas have "_Beta" in theirs. */
static bool names_version(const struct image_name *name, const char *version)
{
    size_t length = strlen(name->release);
    return !strncmp(name->release, version, length) &&
           (!version[length] || !strcmp(version + length, " Beta"));
}

/* Tells if the entry is a generic Cloud image; *ret holds it then. */
static bool read_entry(const json_t *entry, struct image_entry *ret)
{
    const char *link = entry_text(entry, "link"), *sha256 = entry_text(entry, "sha256");
    int length;
    if (strcmp(entry_text(entry, "variant"), "Cloud") != 0 ||
        strcmp(entry_text(entry, "subvariant"), "Cloud_Base") != 0 || !image_is_url(link) ||
        !pi_starts_with(link, "https://"))
        return false;
    const char *file = image_base_name(link, &length);
    if (length >= (int)sizeof ret->file || file[length])
        return false;
    *ret = (struct image_entry){0};
    snprintf(ret->file, sizeof ret->file, "%s", file);
    snprintf(ret->link, sizeof ret->link, "%s", link);
    if (!image_name_parse(file, &ret->name) || !names_version(&ret->name, entry_text(entry, "version")) ||
        strcmp(ret->name.arch, entry_text(entry, "arch")) != 0)
        return false;
    snprintf(ret->name.release, sizeof ret->name.release, "%s", entry_text(entry, "version"));
    if (*sha256 && image_sha256_parse(sha256, ret->sha256, NULL) < 0)
        return false;
    const char *size = entry_text(entry, "size");
    return !*size || pi_number_parse(size, 1, INT64_MAX, &ret->size_bytes, NULL) == 0;
}

/* The number of a stable release, 0 for a beta. */
static uint64_t stable_number(const char *release)
{
    uint64_t number;
    return pi_number_parse(release, 1, 999, &number, NULL) < 0 ? 0 : number;
}

static bool is_better_entry(const struct image_entry *entry, const char *release,
                            const struct image_entry *best)
{
    if (*release)
        return !best->file[0] && !strcmp(entry->name.release, release);
    return stable_number(entry->name.release) > stable_number(best->name.release);
}

int image_index_choose(const json_t *index, const char *release, const char *arch, struct image_entry *ret,
                       struct pi_error *err)
{
    struct image_entry best = {0}, entry;
    pi_auto_buf struct pi_buf known = {.max = LISTED_MAX};
    size_t i;
    json_t *item;
    json_array_foreach(index, i, item) {
        if (!read_entry(item, &entry) || strcmp(entry.name.arch, arch) != 0)
            continue;
        /* A list cut at its limit is good enough for a message. */
        (void)pi_buf_printf(&known, "%s%s", known.size ? ", " : "", entry.name.release);
        if (is_better_entry(&entry, release, &best))
            best = entry;
    }
    if (!best.file[0])
        return pi_refuse(err, PI_NOT_FOUND,
                         "Fedora%s%s is not in the index as a Cloud image for %s: it has %s",
                         *release ? " " : "", release, arch, known.size ? known.data : "none");
    *ret = best;
    return 0;
}
