/* SPDX-License-Identifier: MIT */
#include "agent/image/download.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/text.h"
#include "agent/image/digest.h"
#include "agent/image/hasher.h"
#include "agent/image/http_text.h"
#include "agent/image/metalink.h"
#include "agent/image/space.h"
#include "agent/image/stored.h"
#include "agent/image/transfer.h"

/* One image on its way from one of its URLs. */
struct download {
    struct image_fetch *fetch;
    struct image *image;
    struct image_partial partial;
    struct image_hasher *hasher;
    struct image_partial unpacked; /* fd -1 if the image does not come packed */
    struct image_unpack *unpack;
    bool
        mixed; /* its bytes came from several requests: a wrong checksum is not surely the last server's fault */
    unsigned connections;
    bool other_mirrors;    /* the list of mirrors is about another file */
    bool proven;           /* the checksum was right, whatever fails after that */
    struct pi_error first; /* why the first URL failed; kind PI_OK = none did yet */
    int first_r;
};

/* The SHA-256 that the received bytes must have; "" = unknown. */
static char *expected_sha256(struct download *d)
{
    return d->fetch->packing ? d->image->packed_sha256 : d->image->sha256;
}

/* The partial is named by the SHA-256 if that is known, so that every way to an image leads to one download.
 */
static int take_partial(struct download *d, struct pi_error *err)
{
    struct image_fetch *fetch = d->fetch;
    char key[IMAGE_SHA256_LENGTH + 1];
    memcpy(key, expected_sha256(d), sizeof key);
    if (!key[0] && image_digest_text(d->image->source, key) < 0)
        return pi_fail(err, ENOMEM, "%s", d->image->source);
    return image_partial_take(fetch->store, key, d->image->size_bytes, &fetch->meter, &d->partial, err);
}

/* The unpacked image has a partial of its own. Only the process that has locked the packed one asks for it.
 */
static int take_unpacked(struct download *d, struct pi_error *err)
{
    struct image_fetch *fetch = d->fetch;
    char key[IMAGE_SHA256_LENGTH + 1];
    if (!fetch->packing)
        return 0;
    if (image_digest_text(d->partial.name, key) < 0)
        return pi_fail(err, ENOMEM, "%s", d->image->source);
    int r = image_partial_take(fetch->store, key, 0, &fetch->meter, &d->unpacked, err);
    return r < 0 ? r : image_unpack_new(fetch->packing, d->unpacked.fd, &d->unpack, err);
}

static void save_checkpoint(const struct image_resume *resume, void *user)
{
    (void)resume;
    image_partial_save(user);
}

static int from_the_beginning(struct download *d, struct pi_error *err)
{
    d->mixed = false;
    image_hasher_restart(d->hasher);
    return image_partial_reset(&d->partial, err);
}

/* Compares the received bytes with the wanted image. -EBADMSG (PI_UNVERIFIED) if they differ. */
static int verify_received(struct download *d, char ret_sha256[IMAGE_SHA256_LENGTH + 1], struct pi_error *err)
{
    struct image *image = d->image;
    uint64_t size_bytes = d->partial.resume.done_bytes;
    image_meter_phase(&d->fetch->meter, IMAGE_CHECKING, size_bytes);
    int r = image_hasher_digest(d->hasher, size_bytes, &d->fetch->meter, ret_sha256, err);
    if (r < 0)
        return r;
    if (*expected_sha256(d) && strcmp(expected_sha256(d), ret_sha256) != 0)
        return image_refuse_wrong(image->name, expected_sha256(d), ret_sha256, err);
    d->proven = *expected_sha256(d) != '\0';
    if (d->unpack) {
        memcpy(image->packed_sha256, ret_sha256, sizeof image->packed_sha256);
        r = image_unpack_finish(d->unpack, &size_bytes, ret_sha256, err);
        return r < 0 ? pi_context(err, r, "%s", image->name)
                     : image_inspect(d->unpacked.fd, size_bytes, image, err);
    }
    return image_inspect(d->partial.fd, size_bytes, image, err);
}

static int transfer_from(struct download *d, const char *url, struct pi_error *err)
{
    struct image_resume *resume = &d->partial.resume;
    struct image_transfer what = {.url = url,
                                  .fd = d->partial.fd,
                                  .size_bytes = d->image->size_bytes,
                                  .checksum_known = *expected_sha256(d) != '\0',
                                  .same_url = resume->url && !strcmp(resume->url, url),
                                  .connections = d->connections,
                                  .stall_s = (unsigned)d->fetch->sources->fedora_stall_s,
                                  .resume = resume,
                                  .checkpoint = save_checkpoint,
                                  .user = &d->partial};
    int r = 0;
    /* Without a checksum, only the same server can prove that it is the same object, and only if no power cut
     * came between. */
    if (resume->done_bytes && !what.checksum_known && (!what.same_url || !image_resume_is_intact(resume)))
        r = from_the_beginning(d, err);
    if (r < 0)
        return r;
    d->mixed |= resume->done_bytes > 0;
    image_hasher_advance(d->hasher, resume->done_bytes);
    image_meter_phase(&d->fetch->meter, IMAGE_DOWNLOADING, d->image->size_bytes);
    return image_transfer_run(&what, d->hasher, &d->fetch->meter, err);
}

/* Downloads the whole image from this URL. If several servers brought it together and it is wrong, this
 * one is asked again, from the beginning. */
static int try_url(struct download *d, const char *url, char ret_sha256[IMAGE_SHA256_LENGTH + 1],
                   struct pi_error *err)
{
    bool again;
    int r;
    do {
        r = transfer_from(d, url, err);
        again = false;
        /* If this host lacks something (room to unpack), the received bytes are not to blame. */
        if (r == 0 && (r = verify_received(d, ret_sha256, err)) < 0 && r != -ECANCELED &&
            err->kind != PI_HOST) {
            again = d->mixed && !d->proven;
            if (from_the_beginning(d, NULL) < 0)
                return r;
        }
    } while (again);
    return r;
}

/* Adds the image's mirrors from Fedora's list. Goes on without them if the list cannot be fetched. */
static int add_mirrors(struct download *d, struct pi_error *err)
{
    struct image_fetch *fetch = d->fetch;
    const struct image *image = d->image;
    const char *base = fetch->sources->fedora_metalink_url;
    pi_auto_free char *url = NULL;
    pi_auto_buf struct pi_buf text = {0};
    pi_auto_image_metalink struct image_metalink list = {0};
    if (!fetch->metalink_path || !strcmp(base, "none"))
        return 0;
    if (asprintf(&url, "%s?path=%s", base, fetch->metalink_path) < 0)
        return pi_fail(err, ENOMEM, "%s", base);
    int r = image_text_get(url, IMAGE_METALINK_MAX, &fetch->meter, &text, err);
    if (r == 0)
        r = image_metalink_parse(text.data ? text.data : "", text.size, image->name, &list, err);
    if (r < 0)
        return r == -ENOMEM ? r : 0;
    d->other_mirrors = (list.sha256[0] && image->sha256[0] && strcmp(list.sha256, image->sha256) != 0) ||
                       (list.size_bytes && image->size_bytes && list.size_bytes != image->size_bytes);
    d->connections = (unsigned)list.connections;
    for (size_t i = 0; !d->other_mirrors && i < list.urls.count; i++)
        if (pi_strv_add(&fetch->urls, list.urls.items[i]) < 0)
            return pi_fail(err, ENOMEM, "%s", url);
    return 0;
}

/* Keeps the first failure. Exception: "not found" gives way to a failure of another kind, which says more. */
static void keep_failure(struct download *d, int r, const struct pi_error *err)
{
    if (d->first.kind != PI_OK && (d->first.kind != PI_NOT_FOUND || err->kind == PI_NOT_FOUND))
        return;
    d->first = *err;
    d->first_r = r;
}

static bool is_final(const struct download *d, int r, const struct pi_error *err)
{
    return r == 0 || r == -ECANCELED || r == -ENOMEM || err->kind == PI_HOST || d->proven;
}

/* Tries one URL after the other, until one brings the image. */
static int try_all(struct download *d, char ret_sha256[IMAGE_SHA256_LENGTH + 1], struct pi_error *err)
{
    struct image_fetch *fetch = d->fetch;
    size_t configured = fetch->urls.count;
    for (size_t i = 0; i < fetch->urls.count; i++) {
        struct pi_error failure = {0};
        const char *url = fetch->urls.items[i];
        int r = try_url(d, url, ret_sha256, &failure);
        if (r == 0)
            return image_set(&d->image->source, url) < 0 ? pi_fail(err, ENOMEM, "%s", url) : 0;
        if (is_final(d, r, &failure)) {
            if (err)
                *err = failure;
            return r;
        }
        keep_failure(d, r, &failure);
        if (i + 1 == configured && (r = add_mirrors(d, err)) < 0)
            return r;
    }
    if (err)
        *err = d->first;
    return d->other_mirrors ? pi_context(err, d->first_r,
                                         "no mirror was asked: the list of mirrors has another size or "
                                         "SHA-256, try again later")
                            : d->first_r;
}

/* Begins with the server of a killed fetch, because its validators prove the most. */
static int ask_first(struct image_fetch *fetch, const char *url)
{
    if (!url || (fetch->urls.count && !strcmp(url, fetch->urls.items[0])))
        return 0;
    int r = pi_strv_add(&fetch->urls, url);
    if (r < 0)
        return r;
    char *last = fetch->urls.items[fetch->urls.count - 1];
    memmove(fetch->urls.items + 1, fetch->urls.items, (fetch->urls.count - 1) * sizeof last);
    fetch->urls.items[0] = last;
    return 0;
}

/* The next fetch of the same URL sends these validators. */
static int keep_validators(struct download *d, struct pi_error *err)
{
    const struct image_resume *resume = &d->partial.resume;
    struct image *image = d->image;
    if ((resume->etag && image_set(&image->etag, resume->etag) < 0) ||
        (resume->last_modified && image_set(&image->last_modified, resume->last_modified) < 0))
        return pi_fail(err, ENOMEM, "%s", image->name);
    return 0;
}

/* The store may have this image already, with a checksum. */
static bool is_stored_already(struct download *d, const char *sha256)
{
    memcpy(d->image->sha256, sha256, sizeof d->image->sha256);
    d->image->fetched_ms = pi_realtime_ms();
    return image_is_stored(d->fetch, d->image);
}

static int note_change(struct download *d, struct pi_error *err)
{
    pi_auto_buf struct pi_buf note = {0};
    if (!d->fetch->replaced[0] || !strcmp(d->fetch->replaced, d->image->sha256))
        return 0;
    int r = pi_buf_printf(
        &note, "%s serves another image than before; the earlier one (SHA-256 %.12s) stays in the store",
        d->fetch->ref.text, d->fetch->replaced);
    if (r < 0 || (r = image_set(&d->image->note, note.data)) < 0)
        return pi_fail(err, -r, "%s", d->image->name);
    return 0;
}

static int prepare_download(struct download *d, struct pi_error *err)
{
    int r = image_space_reserve(d->partial.fd, d->image->size_bytes, err);
    if (r < 0)
        return r;
    if (ask_first(d->fetch, d->partial.resume.url) < 0)
        return pi_fail(err, ENOMEM, "%s", d->image->name);
    r = take_unpacked(d, err);
    return r < 0 ? r : image_hasher_new(d->partial.fd, d->unpack, &d->hasher, err);
}

static int download_image(struct download *d, struct pi_error *err)
{
    char sha256[IMAGE_SHA256_LENGTH + 1];
    struct image_partial *complete = d->fetch->packing ? &d->unpacked : &d->partial;
    bool unknown = !*expected_sha256(d);
    int r = prepare_download(d, err);
    if (r < 0 || (r = try_all(d, sha256, err)) < 0 || (r = keep_validators(d, err)) < 0)
        return r;
    bool stored = unknown && is_stored_already(d, sha256);
    if (!stored)
        r = image_complete(d->fetch, complete, sha256, d->image, err);
    if (r < 0 || (r = note_change(d, err)) < 0)
        return r;
    return stored || d->fetch->packing ? image_partial_reset(&d->partial, err) : 0;
}

int image_download(struct image_fetch *fetch, struct image *image, struct pi_error *err)
{
    struct download d = {.fetch = fetch, .image = image, .partial = {.fd = -1}, .unpacked = {.fd = -1}};
    if (image_is_stored(fetch, image))
        return 0;
    int r = take_partial(&d, err);
    if (r < 0)
        return r;
    if (image_is_stored(fetch, image))
        r = image_partial_reset(&d.partial, err);
    else
        r = download_image(&d, err);
    image_hasher_free(&d.hasher);
    image_unpack_free(&d.unpack);
    image_partial_done(&d.unpacked);
    image_partial_done(&d.partial);
    return r;
}
