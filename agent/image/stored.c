/* SPDX-License-Identifier: MIT */
#include "agent/image/stored.h"

#include <errno.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/image/changed.h"
#include "agent/image/verify.h"

/* An image that came packed is known by its SHA-256 when it was packed; without one, by its source. */
static bool is_wanted(const struct image *stored, const struct image *wanted)
{
    return wanted->packed_sha256[0] ? !strcmp(stored->packed_sha256, wanted->packed_sha256)
                                    : !strcmp(stored->source, wanted->source);
}

static bool find_without_digest(const struct image_fetch *fetch, const struct image *wanted,
                                struct image *ret)
{
    pi_auto_image_list struct image_list list = {0};
    if (image_store_list(fetch->store, &list, NULL) < 0)
        return false;
    for (size_t i = 0; i < list.count; i++) {
        if (is_wanted(&list.items[i], wanted)) {
            *ret = list.items[i];
            list.items[i] = (struct image){0};
            return true;
        }
    }
    return false;
}

/* Tells if the source still serves the stored image, which no checksum identifies. If the source cannot be
 * asked, the stored image is used, and a note says so. */
static bool is_current(struct image_fetch *fetch, const struct image *stored, struct image *wanted)
{
    struct pi_error failure;
    pi_auto_buf struct pi_buf note = {0};
    if (stored->fetched_ms >= fetch->began_ms)
        return true; /* by another fetch, while this one waited */
    if (!strcmp(stored->sha256, fetch->replaced))
        return false; /* asked already */
    int r = image_is_unchanged(wanted->source, stored, &fetch->meter, &failure);
    if (r == 0)
        memcpy(fetch->replaced, stored->sha256, sizeof fetch->replaced);
    if (r >= 0 || r == -ECANCELED || r == -ENOMEM)
        return r > 0;
    return pi_buf_printf(&note, "using the image in the store: %s", failure.text) == 0 &&
           image_set(&wanted->note, note.data) == 0;
}

static void swap_text(char **a, char **b)
{
    char *old = *a;
    *a = *b;
    *b = old;
}

/* The wanted image's source serves the stored image now. */
static void take_source(struct image *stored, struct image *wanted)
{
    swap_text(&stored->name, &wanted->name);
    swap_text(&stored->source, &wanted->source);
    memcpy(stored->packed_sha256, wanted->packed_sha256, sizeof stored->packed_sha256);
}

/* Records what the fetch knows better than the provenance. An unverified image is found by its latest
 * source. */
static void learn_from_request(const struct image_fetch *fetch, struct image *wanted, struct image *stored)
{
    bool vouched = wanted->checksum_source != IMAGE_CHECKSUM_NONE;
    bool same_source = !strcmp(stored->source, wanted->source);
    bool came_again = wanted->fetched_ms && (same_source || !stored->verified);
    bool known =
        stored->verified && (stored->release || !wanted->release) && (stored->signer || !wanted->signer);
    if (came_again) {
        stored->fetched_ms = wanted->fetched_ms;
        swap_text(&stored->etag, &wanted->etag);
        swap_text(&stored->last_modified, &wanted->last_modified);
        if (!same_source)
            take_source(stored, wanted);
    }
    if (vouched && !known) {
        stored->verified = true;
        stored->checksum_source = wanted->checksum_source;
        stored->allow_unsigned = wanted->allow_unsigned;
        take_source(stored, wanted);
        swap_text(&stored->release, &wanted->release);
        swap_text(&stored->arch, &wanted->arch);
        swap_text(&stored->signer, &wanted->signer);
    } else if (!came_again) {
        return;
    }
    /* If it cannot be written, the next fetch learns it again. */
    (void)image_store_record(fetch->store, stored, NULL);
}

/* A file that changed since it was hashed is hashed again: rsync makes another inode, a bad disk another
 * image. */
bool image_still_good(struct image_fetch *fetch, struct image *stored)
{
    return image_check_found(stored, NULL) == 0 ||
           image_store_verify(fetch->store, stored, &fetch->meter, NULL) == 0;
}

bool image_find_stored(const struct image_fetch *fetch, const struct image *wanted, struct image *ret)
{
    return wanted->sha256[0] ? image_store_find(fetch->store, wanted->sha256, ret, NULL) == 0
                             : find_without_digest(fetch, wanted, ret);
}

bool image_is_stored(struct image_fetch *fetch, struct image *image)
{
    pi_auto_image struct image stored = {0};
    if (!image_find_stored(fetch, image, &stored) || !image_still_good(fetch, &stored))
        return false;
    bool known = image->sha256[0] || image->packed_sha256[0];
    if (!known && !is_current(fetch, &stored, image))
        return false;
    learn_from_request(fetch, image, &stored);
    stored.note = pi_steal(image->note);
    image_done(image);
    *image = stored;
    stored = (struct image){0};
    return true;
}
