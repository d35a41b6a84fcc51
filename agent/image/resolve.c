#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/image/catalogue.h"
#include "agent/image/checksum.h"
#include "agent/image/download.h"
#include "agent/image/index.h"
#include "agent/image/steps.h"

/* The URL of the CHECKSUM file in the folder of the entry's image. */
static char *checksum_url(const struct image_fetch *fetch, const struct image_entry *entry, int form)
{
    char file[128];
    char *url;
    pi_auto_free char *image = image_sources_rewrite(fetch->sources->fedora_checksum_url, entry->link);
    image_name_checksum_file(&entry->name, form, file, sizeof file);
    return !image || asprintf(&url, "%.*s%s", (int)(strlen(image) - strlen(entry->file)), image, file) < 0
               ? NULL
               : url;
}

/* From whichever CHECKSUM file there is; -ENOENT where there is none. */
static int read_checksum_file(struct image_fetch *fetch, const struct image_entry *entry, struct image *image,
                              struct pi_error *err)
{
    struct image_checksum checksum = {0};
    int r = -ENOENT;
    for (int form = 0; form < IMAGE_CHECKSUM_FORMS && r == -ENOENT; form++) {
        pi_auto_buf struct pi_buf text = {0};
        pi_auto_free char *url = checksum_url(fetch, entry, form);
        if (!url)
            return pi_fail(err, ENOMEM, "%s", entry->file);
        r = image_download_text(url, IMAGE_CHECKSUM_FILE_MAX, &fetch->meter, &text, err);
        if (r == 0 &&
            (r = image_checksum_find(text.data ? text.data : "", text.size, entry->file, &checksum, err)) < 0)
            return pi_context(err, r, "%s", url);
    }
    if (r < 0)
        return r;
    memcpy(image->sha256, checksum.sha256, sizeof image->sha256);
    image->size_bytes = checksum.size_bytes;
    image->checksum_source = IMAGE_CHECKSUM_FILE;
    return 0;
}

/* Who vouches for the image: the index, the user, or a CHECKSUM file, in this order. */
static int find_checksum(struct image_fetch *fetch, const struct image_entry *entry, struct image *image,
                         struct pi_error *err)
{
    image->size_bytes = entry->size_bytes;
    if (entry->sha256[0]) {
        memcpy(image->sha256, entry->sha256, sizeof image->sha256);
        image->checksum_source = IMAGE_CHECKSUM_INDEX;
        if (fetch->sha256[0] && strcmp(fetch->sha256, entry->sha256) != 0)
            return image_refuse_wrong(image, fetch->sha256, err);
        return 0;
    }
    if (fetch->sha256[0]) {
        memcpy(image->sha256, fetch->sha256, sizeof image->sha256);
        image->checksum_source = IMAGE_CHECKSUM_USER;
        return 0;
    }
    int r = read_checksum_file(fetch, entry, image, err);
    if (r != -ENOENT)
        return r;
    return fetch->request->unverified ? 0 : image_refuse_unknown(entry->file, err);
}

static int want_entry(struct image_fetch *fetch, const struct image_entry *entry, struct image *image,
                      struct pi_error *err)
{
    image->source = image_sources_rewrite(fetch->sources->fedora_url, entry->link);
    if (!image->source || image_set(&image->name, entry->file) < 0 ||
        image_set(&image->release, entry->name.release) < 0)
        return pi_fail(err, ENOMEM, "%s", entry->file);
    snprintf(fetch->meter.now.name, sizeof fetch->meter.now.name, "%s", entry->file);
    return find_checksum(fetch, entry, image, err);
}

/* Without an index: the newest image that is here, said aloud. */
static int use_newest_stored(struct image_fetch *fetch, struct image *ret)
{
    pi_auto_image struct image image = {0};
    int r = image_store_newest(fetch->store, NULL, fetch->request->arch, &image, NULL);
    if (r < 0)
        return r;
    r = image_set(&image.note,
                  "Fedora's index cannot be read: this is the newest release in the store, and a "
                  "newer one may be out");
    if (r < 0)
        return r;
    image_done(ret);
    *ret = image;
    image = (struct image){0};
    return 0;
}

/* An index that is not there is a trouble of the network or of its URL: it says nothing about the image. */
static int no_index(struct pi_error *err)
{
    if (err)
        err->kind = PI_NETWORK;
    return pi_context(err, -ENETUNREACH, "cannot find out which images Fedora has");
}

static int resolve_fedora(struct image_fetch *fetch, struct image *image, struct pi_error *err)
{
    const char *release = fetch->ref.release, *arch = fetch->request->arch;
    bool stale;
    if (*release && !fetch->sha256[0] && image_store_newest(fetch->store, release, arch, image, NULL) == 0)
        return 0;
    json_auto_t *index =
        image_index_load(fetch->store, fetch->sources->fedora_index_url, &fetch->meter, &stale, err);
    if (!index && image_meter_cancelled(&fetch->meter))
        return -ECANCELED;
    if (!index && !*release && !fetch->sha256[0] && use_newest_stored(fetch, image) == 0)
        return 0;
    if (!index)
        return no_index(err);
    struct image_entry entry;
    int r = image_catalogue_choose(index, release, arch, &entry, err);
    if (r < 0 || (r = image_set(&image->arch, arch)) < 0 || (r = want_entry(fetch, &entry, image, err)) < 0)
        return r;
    if (stale && image_set(&image->note, "Fedora's index cannot be read: an old copy of it was used") < 0)
        return pi_fail(err, ENOMEM, "%s", entry.file);
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
    memcpy(image->sha256, fetch->sha256, sizeof image->sha256);
    char name[256];
    snprintf(name, sizeof name, "%.*s", length, base);
    if (image_set(&image->name, *name ? name : "image") < 0 ||
        image_set(&image->arch, fetch->request->arch) < 0 || image_set(&image->source, url) < 0)
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
