/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/text.h"
#include "agent/image/digest.h"
#include "agent/image/follow.h"
#include "agent/image/metalink.h"
#include "agent/image/space.h"
#include "agent/image/steps.h"
#include "agent/image/text.h"
#include "agent/image/transfer.h"

/* One image on its way from one of its addresses. */
struct receiving {
    struct image_fetch *fetch;
    struct image *image;
    struct image_partial partial;
    struct image_follow *follow;
    struct image_partial unpacked; /* fd -1 where it does not come packed */
    struct image_unpack *unpack;
    bool mixed; /* what is there came in more than one go: if it's wrong, that says nothing of the last server
                 */
    unsigned connections;
    bool other_mirrors;    /* the list of mirrors is one of another file's */
    bool proven;           /* what has come is what was wanted, whatever fails after that */
    struct pi_error first; /* why the first address failed; kind PI_OK = none did yet */
    int first_r;
};

/* What the bytes that come have to hash to; "" = that is not known. */
static char *expected(struct receiving *rx)
{
    return rx->fetch->packing ? rx->image->packed_sha256 : rx->image->sha256;
}

/* The digest names the partial where it is known, so that every way to an image leads to one download. */
static int take_partial(struct receiving *rx, struct pi_error *err)
{
    struct image_fetch *fetch = rx->fetch;
    char key[IMAGE_SHA256_LENGTH + 1];
    memcpy(key, expected(rx), sizeof key);
    if (!key[0] && image_digest_text(rx->image->source, key) < 0)
        return pi_fail(err, ENOMEM, "%s", rx->image->source);
    return image_partial_take(fetch->store, key, rx->image->size_bytes, &fetch->meter, &rx->partial, err);
}

/* The unpacked image has a partial of its own; who holds the packed one is alone with it. */
static int take_unpacked(struct receiving *rx, struct pi_error *err)
{
    struct image_fetch *fetch = rx->fetch;
    char key[IMAGE_SHA256_LENGTH + 1];
    if (!fetch->packing)
        return 0;
    if (image_digest_text(rx->partial.name, key) < 0)
        return pi_fail(err, ENOMEM, "%s", rx->image->source);
    int r = image_partial_take(fetch->store, key, 0, &fetch->meter, &rx->unpacked, err);
    return r < 0 ? r : image_unpack_new(fetch->packing, rx->unpacked.fd, &rx->unpack, err);
}

static void checkpoint(const struct image_resume *resume, void *user)
{
    (void)resume;
    image_partial_save(user);
}

static int from_the_beginning(struct receiving *rx, struct pi_error *err)
{
    rx->mixed = false;
    image_follow_restart(rx->follow);
    return image_partial_reset(&rx->partial, err);
}

/* Compares what has come with what is wanted. -EBADMSG (PI_UNVERIFIED) where it is something else. */
static int check(struct receiving *rx, char ret_sha256[IMAGE_SHA256_LENGTH + 1], struct pi_error *err)
{
    struct image *image = rx->image;
    uint64_t size_bytes = rx->partial.resume.done_bytes;
    image_meter_phase(&rx->fetch->meter, IMAGE_CHECKING, size_bytes);
    int r = image_follow_digest(rx->follow, size_bytes, &rx->fetch->meter, ret_sha256, err);
    if (r < 0)
        return r;
    if (*expected(rx) && strcmp(expected(rx), ret_sha256) != 0)
        return image_refuse_wrong(image->name, expected(rx), ret_sha256, err);
    rx->proven = *expected(rx) != '\0';
    if (rx->unpack) {
        memcpy(image->packed_sha256, ret_sha256, sizeof image->packed_sha256);
        r = image_unpack_finish(rx->unpack, &size_bytes, ret_sha256, err);
        return r < 0 ? pi_context(err, r, "%s", image->name)
                     : image_inspect(rx->unpacked.fd, size_bytes, image, err);
    }
    return image_inspect(rx->partial.fd, size_bytes, image, err);
}

static int download(struct receiving *rx, const char *url, struct pi_error *err)
{
    struct image_resume *resume = &rx->partial.resume;
    struct image_transfer what = {.url = url,
                                  .fd = rx->partial.fd,
                                  .size_bytes = rx->image->size_bytes,
                                  .checksum_known = *expected(rx) != '\0',
                                  .same_url = resume->url && !strcmp(resume->url, url),
                                  .connections = rx->connections,
                                  .stall_s = (unsigned)rx->fetch->sources->fedora_stall_s,
                                  .resume = resume,
                                  .checkpoint = checkpoint,
                                  .user = &rx->partial};
    int r = 0;
    /* Nothing else would prove that it is the same object, or still there. */
    if (resume->done_bytes && !what.checksum_known && (!what.same_url || !image_resume_is_intact(resume)))
        r = from_the_beginning(rx, err);
    if (r < 0)
        return r;
    rx->mixed |= resume->done_bytes > 0;
    image_follow_advance(rx->follow, resume->done_bytes);
    image_meter_phase(&rx->fetch->meter, IMAGE_DOWNLOADING, rx->image->size_bytes);
    return image_transfer_run(&what, rx->follow, &rx->fetch->meter, err);
}

/* All of it, from this address. What several servers brought together and is wrong is asked of this one
 * again, from the beginning. */
static int try_address(struct receiving *rx, const char *url, char ret_sha256[IMAGE_SHA256_LENGTH + 1],
                       struct pi_error *err)
{
    bool again;
    int r;
    do {
        r = download(rx, url, err);
        again = false;
        /* What this host lacks (room to unpack) is no fault of what has come. */
        if (r == 0 && (r = check(rx, ret_sha256, err)) < 0 && r != -ECANCELED && err->kind != PI_HOST) {
            again = rx->mixed && !rx->proven;
            if (from_the_beginning(rx, NULL) < 0)
                return r;
        }
    } while (again);
    return r;
}

/* Fedora's list of mirrors for what the first address has. A list that can't be had is none. */
static int add_mirrors(struct receiving *rx, struct pi_error *err)
{
    struct image_fetch *fetch = rx->fetch;
    const struct image *image = rx->image;
    const char *base = fetch->sources->fedora_metalink_url;
    pi_auto_free char *url = NULL;
    pi_auto_buf struct pi_buf text = {0};
    pi_auto_image_metalink struct image_metalink list = {0};
    if (!fetch->metalink_path || !strcmp(base, "none"))
        return 0;
    if (asprintf(&url, "%s?path=%s", base, fetch->metalink_path) < 0)
        return pi_fail(err, ENOMEM, "%s", base);
    int r = image_download_text(url, IMAGE_METALINK_MAX, &fetch->meter, &text, err);
    if (r == 0)
        r = image_metalink_parse(text.data ? text.data : "", text.size, image->name, &list, err);
    if (r < 0)
        return r == -ENOMEM ? r : 0;
    rx->other_mirrors = (list.sha256[0] && image->sha256[0] && strcmp(list.sha256, image->sha256) != 0) ||
                        (list.size_bytes && image->size_bytes && list.size_bytes != image->size_bytes);
    rx->connections = (unsigned)list.connections;
    for (size_t i = 0; !rx->other_mirrors && i < list.urls.count; i++)
        if (pi_strv_add(&fetch->urls, list.urls.items[i]) < 0)
            return pi_fail(err, ENOMEM, "%s", url);
    return 0;
}

/* Kept is the first address's failure; that it does not have the file says less than what others say. */
static void keep_failure(struct receiving *rx, int r, const struct pi_error *err)
{
    if (rx->first.kind != PI_OK && (rx->first.kind != PI_NOT_FOUND || err->kind == PI_NOT_FOUND))
        return;
    rx->first = *err;
    rx->first_r = r;
}

static bool is_final(const struct receiving *rx, int r, const struct pi_error *err)
{
    return r == 0 || r == -ECANCELED || r == -ENOMEM || err->kind == PI_HOST || rx->proven;
}

/* One address after the other, until one has what is wanted. */
static int try_all(struct receiving *rx, char ret_sha256[IMAGE_SHA256_LENGTH + 1], struct pi_error *err)
{
    struct image_fetch *fetch = rx->fetch;
    size_t configured = fetch->urls.count;
    for (size_t i = 0; i < fetch->urls.count; i++) {
        struct pi_error failure = {0};
        const char *url = fetch->urls.items[i];
        int r = try_address(rx, url, ret_sha256, &failure);
        if (r == 0)
            return image_set(&rx->image->source, url) < 0 ? pi_fail(err, ENOMEM, "%s", url) : 0;
        if (is_final(rx, r, &failure)) {
            if (err)
                *err = failure;
            return r;
        }
        keep_failure(rx, r, &failure);
        if (i + 1 == configured && (r = add_mirrors(rx, err)) < 0)
            return r;
    }
    if (err)
        *err = rx->first;
    return rx->other_mirrors ? pi_context(err, rx->first_r,
                                          "no mirror was asked: the list of them is one of another size or "
                                          "SHA-256, try again later")
                             : rx->first_r;
}

/* The server that a killed fetch had its bytes from is asked first: its validators prove the most. */
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

/* They are asked with when the same URL is wanted again. */
static int keep_validators(struct receiving *rx, struct pi_error *err)
{
    const struct image_resume *resume = &rx->partial.resume;
    struct image *image = rx->image;
    if ((resume->etag && image_set(&image->etag, resume->etag) < 0) ||
        (resume->last_modified && image_set(&image->last_modified, resume->last_modified) < 0))
        return pi_fail(err, ENOMEM, "%s", image->name);
    return 0;
}

/* What came without a checksum may be in the store, known better than this fetch knows it. */
static bool is_stored_already(struct receiving *rx, const char *sha256)
{
    memcpy(rx->image->sha256, sha256, sizeof rx->image->sha256);
    rx->image->fetched_ms = pi_realtime_ms();
    return image_is_stored(rx->fetch, rx->image);
}

static int note_change(struct receiving *rx, struct pi_error *err)
{
    pi_auto_buf struct pi_buf note = {0};
    if (!rx->fetch->replaced[0] || !strcmp(rx->fetch->replaced, rx->image->sha256))
        return 0;
    int r = pi_buf_printf(
        &note, "%s serves another image than before; the one before (SHA-256 %.12s) stays in the store",
        rx->fetch->ref.text, rx->fetch->replaced);
    if (r < 0 || (r = image_set(&rx->image->note, note.data)) < 0)
        return pi_fail(err, -r, "%s", rx->image->name);
    return 0;
}

static int receive(struct receiving *rx, struct pi_error *err)
{
    char sha256[IMAGE_SHA256_LENGTH + 1];
    pi_auto_image_follow struct image_follow *follow = NULL;
    struct image_partial *complete = rx->fetch->packing ? &rx->unpacked : &rx->partial;
    int r = image_space_reserve(rx->partial.fd, rx->image->size_bytes, err);
    if (r == 0 && ask_first(rx->fetch, rx->partial.resume.url) < 0)
        r = pi_fail(err, ENOMEM, "%s", rx->image->name);
    if (r == 0)
        r = take_unpacked(rx, err);
    if (r == 0)
        r = image_follow_new(rx->partial.fd, rx->unpack, &follow, err);
    rx->follow = follow;
    bool unknown = !*expected(rx);
    if (r < 0 || (r = try_all(rx, sha256, err)) < 0 || (r = keep_validators(rx, err)) < 0)
        return r;
    bool stored = unknown && is_stored_already(rx, sha256);
    if (!stored)
        r = image_complete(rx->fetch, complete, sha256, rx->image, err);
    if (r < 0 || (r = note_change(rx, err)) < 0)
        return r;
    return stored || rx->fetch->packing ? image_partial_reset(&rx->partial, err) : 0;
}

int image_receive(struct image_fetch *fetch, struct image *image, struct pi_error *err)
{
    struct receiving rx = {.fetch = fetch, .image = image, .partial = {.fd = -1}, .unpacked = {.fd = -1}};
    if (image_is_stored(fetch, image))
        return 0;
    int r = take_partial(&rx, err);
    if (r < 0)
        return r;
    if (image_is_stored(fetch, image))
        r = image_partial_reset(&rx.partial, err);
    else
        r = receive(&rx, err);
    image_unpack_free(&rx.unpack);
    image_partial_done(&rx.unpacked);
    image_partial_done(&rx.partial);
    return r;
}
