/* SPDX-License-Identifier: MIT */
#include "agent/image/resolve.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/image/checksum.h"
#include "agent/image/http_text.h"
#include "agent/image/index.h"
#include "agent/image/index_cache.h"
#include "agent/image/release.h"
#include "agent/image/signature.h"
#include "agent/image/stored.h"

/* The image that the user means, before its checksum is known. */
struct target {
    struct image_entry entry;
    bool ended; /* the index names the archive, or has dropped the image: ask the archive first */
};

/* The URL of the CHECKSUM file in the folder of the entry's image below base. */
static char *checksum_url(const char *base, const struct image_entry *entry, int form)
{
    char file[128];
    char *url;
    pi_auto_free char *image = image_sources_rewrite(base, entry->link);
    image_name_checksum_file(&entry->name, form, file, sizeof file);
    return !image || asprintf(&url, "%.*s%s", (int)(strlen(image) - strlen(entry->file)), image, file) < 0
               ? NULL
               : url;
}

/* Downloads the CHECKSUM file, which has one of two names; -ENOENT if there is none. */
static int download_checksum_file(struct image_fetch *fetch, const struct target *target, struct pi_buf *text,
                                  struct pi_error *err)
{
    const struct image_sources *sources = fetch->sources;
    const char *const bases[] = {target->ended ? sources->fedora_archive_url : sources->fedora_checksum_url,
                                 target->ended ? sources->fedora_checksum_url : sources->fedora_archive_url};
    int r = -ENOENT;
    for (int i = 0; i < IMAGE_CHECKSUM_FORMS * (int)PI_ARRAY_SIZE(bases) && r == -ENOENT; i++) {
        pi_auto_free char *url =
            checksum_url(bases[i / IMAGE_CHECKSUM_FORMS], &target->entry, i % IMAGE_CHECKSUM_FORMS);
        if (!url)
            return pi_fail(err, ENOMEM, "%s", target->entry.file);
        r = image_text_get(url, IMAGE_CHECKSUM_FILE_MAX, &fetch->meter, text, err);
    }
    return r;
}

/* Takes the checksum from the signed CHECKSUM file, or from an unsigned one if the user allows that. */
static int read_checksum_file(struct image_fetch *fetch, const struct target *target, struct image *image,
                              struct pi_error *err)
{
    struct image_checksum checksum = {0};
    pi_auto_buf struct pi_buf text = {0}, verified = {0};
    char signer[IMAGE_FINGERPRINT_LENGTH + 1] = "";
    const struct image_entry *entry = &target->entry;
    int r = download_checksum_file(fetch, target, &text, err);
    if (r < 0)
        return r;
    r = image_signature_check(&text, entry->name.release, fetch->sources, &fetch->meter, &verified, signer,
                              err);
    if (r < 0 && (r == -ECANCELED || !fetch->allow_unsigned))
        return pi_context(err, r, "the CHECKSUM file of %s", entry->file);
    const struct pi_buf *said = r == 0 ? &verified : &text;
    r = image_checksum_find(said->data ? said->data : "", said->size, entry->file, &checksum, err);
    if (r < 0)
        return r;
    memcpy(image->sha256, checksum.sha256, sizeof image->sha256);
    image->size_bytes = checksum.size_bytes;
    image->checksum_source = IMAGE_CHECKSUM_FILE;
    return *signer && image_set(&image->signer, signer) < 0 ? pi_fail(err, ENOMEM, "%s", entry->file) : 0;
}

/* The index is not signed. If it contradicts the CHECKSUM file, one of them is wrong. */
static int compare_index(const struct image_entry *entry, const struct image *image, struct pi_error *err)
{
    if (entry->sha256[0] && strcmp(entry->sha256, image->sha256) != 0)
        return pi_refuse(err, PI_UNVERIFIED,
                         "%s: Fedora's CHECKSUM file expects SHA-256 %s, but its index says %s: try again "
                         "later",
                         entry->file, image->sha256, entry->sha256);
    if (entry->size_bytes && image->size_bytes && entry->size_bytes != image->size_bytes)
        return pi_refuse(err, PI_UNVERIFIED,
                         "%s: Fedora's CHECKSUM file expects %llu bytes, but its index says %llu: try again "
                         "later",
                         entry->file, (unsigned long long)image->size_bytes,
                         (unsigned long long)entry->size_bytes);
    return 0;
}

static int take_checksum(const char *sha256, enum image_checksum_source source, struct image *image)
{
    memcpy(image->sha256, sha256, sizeof image->sha256);
    image->checksum_source = source;
    return 0;
}

/* Finds the image's checksum: the user's own SHA-256, else that of the signed CHECKSUM file. If the user
 * allows it, also that of an unsigned CHECKSUM file, that of the index, or none. */
static int find_checksum(struct image_fetch *fetch, const struct target *target, struct image *image,
                         struct pi_error *err)
{
    const struct image_entry *entry = &target->entry;
    image->size_bytes = entry->size_bytes;
    if (fetch->sha256[0]) {
        take_checksum(entry->sha256[0] ? entry->sha256 : fetch->sha256, IMAGE_CHECKSUM_USER, image);
        return strcmp(fetch->sha256, image->sha256) != 0
                   ? pi_refuse(err, PI_UNVERIFIED,
                               "%s is published with the SHA-256 %s, but you gave %s: leave out --sha256, "
                               "and Fedora's signature decides",
                               image->name, image->sha256, fetch->sha256)
                   : 0;
    }
    int r = read_checksum_file(fetch, target, image, err);
    if (r == 0)
        r = compare_index(entry, image, err);
    else if (r != -ECANCELED && fetch->allow_unsigned && entry->sha256[0])
        r = take_checksum(entry->sha256, IMAGE_CHECKSUM_INDEX, image);
    else if (r == -ENOENT && !fetch->allow_unsigned)
        r = pi_refuse(err, PI_UNVERIFIED,
                      "%s has no signed CHECKSUM file: try again later, or take it unsigned with "
                      "--allow-unsigned",
                      entry->file);
    else if (r == -ENOENT)
        r = fetch->request->unverified ? 0 : image_refuse_unknown(entry->file, err);
    image->allow_unsigned = r == 0 && !image->signer;
    return r;
}

static int add_image_url(struct image_fetch *fetch, const char *base, const struct image_entry *entry)
{
    pi_auto_free char *url = image_sources_rewrite(base, entry->link);
    return url ? pi_strv_add(&fetch->urls, url) : -ENOMEM;
}

/* Lists the image's URLs: below the configured bases, and in the archive. */
static int find_urls(struct image_fetch *fetch, const struct target *target)
{
    pi_auto_free char *bases = strdup(fetch->sources->fedora_url);
    char *state;
    if (!bases)
        return -ENOMEM;
    int r = 0;
    if (target->ended)
        r = add_image_url(fetch, fetch->sources->fedora_archive_url, &target->entry);
    for (char *base = strtok_r(bases, " ", &state); base && r == 0; base = strtok_r(NULL, " ", &state))
        r = add_image_url(fetch, base, &target->entry);
    if (r == 0 && !target->ended)
        r = add_image_url(fetch, fetch->sources->fedora_archive_url, &target->entry);
    if (r < 0)
        return r;
    bool archived = image_sources_is_archived(target->entry.link);
    pi_auto_free char *path =
        image_sources_rewrite(archived ? "pub/archive/fedora/linux" : "pub/fedora/linux", target->entry.link);
    if (!path)
        return -ENOMEM;
    if (!image_is_url(path))
        fetch->metalink_path = pi_steal(path);
    return 0;
}

static int want_entry(struct image_fetch *fetch, const struct target *target, struct image *image,
                      struct pi_error *err)
{
    const struct image_entry *entry = &target->entry;
    if (find_urls(fetch, target) < 0 || image_set(&image->source, fetch->urls.items[0]) < 0 ||
        image_set(&image->name, entry->file) < 0 || image_set(&image->release, entry->name.release) < 0 ||
        image_set(&image->arch, fetch->request->arch) < 0)
        return pi_fail(err, ENOMEM, "%s", entry->file);
    snprintf(fetch->meter.now.name, sizeof fetch->meter.now.name, "%s", entry->file);
    return find_checksum(fetch, target, image, err);
}

/* Without an index, takes the newest image in the store, with a note. -ENOENT if there is none. */
static int use_newest_stored(struct image_fetch *fetch, struct image *ret, struct pi_error *err)
{
    pi_auto_image struct image image = {0};
    int r = image_store_newest(fetch->store, NULL, fetch->request->arch, fetch->allow_unsigned, &image, err);
    if (r < 0)
        return r;
    if (!image_still_good(fetch, &image))
        return -ENOENT;
    if (image_set(&image.note,
                  "Fedora's index cannot be read: this is the newest release in the store, and a "
                  "newer one may be out") < 0)
        return pi_fail(err, ENOMEM, "%s", image.name);
    image_done(ret);
    *ret = image;
    image = (struct image){0};
    return 0;
}

/* The index is missing because of the network or its URL. That is no error about the image. */
static int no_index(struct pi_error *err)
{
    if (err)
        err->kind = PI_NETWORK;
    return pi_context(err, -ENETUNREACH, "cannot find out which images Fedora has");
}

/* Makes the target from the table of known releases, if the index does not have it or cannot be asked. */
static bool use_table(const char *release, const char *arch, struct target *ret)
{
    struct target target = {.ended = true};
    struct image_entry *entry = &target.entry;
    if (!image_release_name(release, arch, &entry->name))
        return false;
    image_name_file(&entry->name, entry->file, sizeof entry->file);
    snprintf(entry->link, sizeof entry->link, IMAGE_DOWNLOAD_URL "/releases/%s/Cloud/%s/images/%s", release,
             arch, entry->file);
    *ret = target;
    return true;
}

static bool is_stored_release(struct image_fetch *fetch, const char *release, struct image *image)
{
    pi_auto_image struct image stored = {0};
    if (!*release || fetch->sha256[0] ||
        image_store_newest(fetch->store, release, fetch->request->arch, fetch->allow_unsigned, &stored,
                           NULL) < 0 ||
        !image_still_good(fetch, &stored))
        return false;
    *image = stored;
    stored = (struct image){0};
    return true;
}

static int resolve_fedora(struct image_fetch *fetch, struct image *image, struct pi_error *err)
{
    const char *release = fetch->ref.release, *arch = fetch->request->arch;
    struct target target = {0};
    bool stale;
    if (is_stored_release(fetch, release, image))
        return 0;
    json_auto_t *index = NULL;
    int r =
        image_index_load(fetch->store, fetch->sources->fedora_index_url, &fetch->meter, &index, &stale, err);
    if (r == -ECANCELED || r == -ENOMEM)
        return r;
    if (!index && !*release && !fetch->sha256[0]) {
        struct pi_error failure;
        r = use_newest_stored(fetch, image, &failure);
        if (r < 0 && r != -ENOENT && err)
            *err = failure;
        if (r != -ENOENT)
            return r;
    }
    r = index ? image_index_choose(index, release, arch, &target.entry, err) : no_index(err);
    if (r < 0 && !use_table(release, arch, &target))
        return r;
    target.ended |= image_sources_is_archived(target.entry.link);
    if ((r < 0 || !is_stored_release(fetch, target.entry.name.release, image)) &&
        (r = want_entry(fetch, &target, image, err)) < 0)
        return r;
    if (index && stale &&
        image_set(&image->note, "Fedora's index cannot be read: an old copy of it was used") < 0)
        return pi_fail(err, ENOMEM, "%s", target.entry.file);
    return 0;
}

static int resolve_url(struct image_fetch *fetch, struct image *image, struct pi_error *err)
{
    const char *url = fetch->ref.text;
    int length;
    const char *base = image_base_name(url, &length);
    if (!fetch->sha256[0] && !fetch->request->unverified)
        return image_refuse_unknown(url, err);
    if (fetch->sha256[0])
        image->checksum_source = IMAGE_CHECKSUM_USER;
    /* The user's SHA-256 is about the file at the URL, packed or not. */
    fetch->packing = image_packing_of(base, &length);
    memcpy(fetch->packing ? image->packed_sha256 : image->sha256, fetch->sha256, sizeof image->sha256);
    char name[256];
    snprintf(name, sizeof name, "%.*s", length, base);
    if (image_set(&image->name, *name ? name : "image") < 0 ||
        image_set(&image->arch, fetch->request->arch) < 0 || image_set(&image->source, url) < 0 ||
        pi_strv_add(&fetch->urls, url) < 0)
        return pi_fail(err, ENOMEM, "%s", url);
    return 0;
}

int image_resolve(struct image_fetch *fetch, struct image *ret, struct pi_error *err)
{
    pi_auto_image struct image image = {.schema = IMAGE_SCHEMA};
    image_meter_phase(&fetch->meter, IMAGE_RESOLVING, 0);
    int r = fetch->ref.kind == IMAGE_REF_FEDORA ? resolve_fedora(fetch, &image, err)
                                                : resolve_url(fetch, &image, err);
    if (r < 0)
        return r;
    *ret = image;
    image = (struct image){0};
    return 0;
}
