/* SPDX-License-Identifier: MIT */
#include "agent/image/fetch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/paths.h"
#include "agent/base/text.h"
#include "agent/image/changed.h"
#include "agent/image/checksum.h"
#include "agent/image/name.h"
#include "agent/image/steps.h"
#include "agent/image/verify.h"

int image_set(char **field, const char *value)
{
    char *copy = strdup(value);
    if (!copy)
        return -ENOMEM;
    free(*field);
    *field = copy;
    return 0;
}

int image_refuse_unknown(const char *what, struct pi_error *err)
{
    return pi_refuse(
        err, PI_UNVERIFIED,
        "%s has no published checksum%s: give the right one with --sha256 HEX, or take it as it is with "
        "--unverified (piagent run: --image-sha256, --image-unverified)",
        what,
        pi_starts_with(what, "http://") ? ", and anyone on the way can change what comes over http" : "");
}

int image_refuse_wrong(const char *name, const char *expected, const char *found, struct pi_error *err)
{
    return pi_refuse(err, PI_UNVERIFIED,
                     "%s has the wrong checksum: expected SHA-256 %s, found %s; nothing was kept", name,
                     expected, found);
}

int image_inspect(int fd, uint64_t size_bytes, struct image *image, struct pi_error *err)
{
    uint8_t bytes[IMAGE_HEADER_MAX];
    ssize_t n = pread(fd, bytes, sizeof bytes, 0);
    struct image_header header;
    if (n < 0)
        return pi_fail(err, errno, "cannot read %s", image->name);
    int r = image_header_check(bytes, (size_t)n, size_bytes, IMAGE_VIRTUAL_SIZE_MAX, &header, err);
    if (r < 0)
        return pi_context(err, r, "%s", image->name);
    image->format = header.format;
    image->size_bytes = size_bytes;
    image->virtual_size_bytes = header.virtual_size_bytes;
    return 0;
}

int image_complete(struct image_fetch *fetch, struct image_partial *partial, const char *sha256,
                   struct image *image, struct pi_error *err)
{
    if (image_meter_cancelled(&fetch->meter))
        return image_meter_give_up(&fetch->meter, err);
    memcpy(image->sha256, sha256, sizeof image->sha256);
    image->verified = image->checksum_source != IMAGE_CHECKSUM_NONE;
    image->fetched_ms = pi_realtime_ms();
    return image_partial_publish(partial, fetch->store, image, err);
}

/* What came packed is known by the digest that it had then; what no digest is known of, by its source. */
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

/* Whether what no checksum identifies is still what its source serves. Where that cannot be asked, what is
 * here is used, and that is said. */
static bool is_current(struct image_fetch *fetch, const struct image *stored, struct image *wanted)
{
    struct pi_error failure;
    pi_auto_buf struct pi_buf note = {0};
    if (stored->fetched_ms >= fetch->began_ms)
        return true; /* by another fetch, for which this one waited */
    if (!strcmp(stored->sha256, fetch->replaced))
        return false; /* asked already */
    int r = image_is_unchanged(wanted->source, stored, &fetch->meter, &failure);
    if (r == 0)
        memcpy(fetch->replaced, stored->sha256, sizeof fetch->replaced);
    if (r >= 0 || r == -ECANCELED || r == -ENOMEM)
        return r > 0;
    return pi_buf_printf(&note, "the image that is in the store is used: %s", failure.text) == 0 &&
           image_set(&wanted->note, note.data) == 0;
}

static void swap_text(char **a, char **b)
{
    char *old = *a;
    *a = *b;
    *b = old;
}

/* The stored image is the one that the wanted image's source has now. */
static void take_source(struct image *stored, struct image *wanted)
{
    swap_text(&stored->name, &wanted->name);
    swap_text(&stored->source, &wanted->source);
    memcpy(stored->packed_sha256, wanted->packed_sha256, sizeof stored->packed_sha256);
}

/* What the wanted image's references say is kept where it says more than what was known. An unverified image
 * is known by the source that it came from last. */
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
    /* Where it can't be written, the next fetch learns it again. */
    (void)image_store_record(fetch->store, stored, NULL);
}

/* What changed since it was hashed is hashed again: rsync makes another inode, a bad disk another image. */
bool image_still_good(struct image_fetch *fetch, struct image *stored)
{
    return image_check_found(stored, NULL) == 0 ||
           image_store_verify(fetch->store, stored, &fetch->meter, NULL) == 0;
}

bool image_is_stored(struct image_fetch *fetch, struct image *image)
{
    pi_auto_image struct image stored = {0};
    bool found = image->sha256[0] ? image_store_find(fetch->store, image->sha256, &stored, NULL) == 0
                                  : find_without_digest(fetch, image, &stored);
    if (!found || !image_still_good(fetch, &stored))
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

static int prepare_fetch(struct image_fetch *fetch, struct pi_error *err)
{
    const struct image_request *request = fetch->request;
    if (!request->arch || !image_arch_known(request->arch))
        return pi_refuse(err, PI_USAGE, "the architecture '%.32s' is not known: x86_64 or aarch64",
                         request->arch ? request->arch : "");
    if (request->sha256 && image_sha256_parse(request->sha256, fetch->sha256) < 0)
        return pi_refuse(err, PI_USAGE, "'%.80s' is not a SHA-256: 64 hexadecimal digits", request->sha256);
    if (!pi_is_utf8(request->ref))
        return pi_refuse(err, PI_USAGE, "the image's name is not UTF-8: rename it");
    snprintf(fetch->meter.now.name, sizeof fetch->meter.now.name, "%s", request->ref);
    return image_ref_parse(request->ref, &fetch->ref, err);
}

static int run_steps(struct image_fetch *fetch, struct image *image, struct pi_error *err)
{
    int r = prepare_fetch(fetch, err);
    if (r < 0)
        return r;
    image_partial_sweep(fetch->store, IMAGE_PARTIAL_KEPT_MS, false);
    if (fetch->ref.kind == IMAGE_REF_FILE)
        return image_import(fetch, image, err);
    r = image_resolve(fetch, image, err);
    return r < 0 || image->path ? r : image_download(fetch, image, err);
}

int image_fetch(const struct image_store *store, const struct image_sources *sources,
                const struct image_request *request, image_progress_fn progress, void *user,
                struct image *ret, struct pi_error *err)
{
    struct image_fetch fetch = {.store = store,
                                .sources = sources,
                                .request = request,
                                .began_ms = pi_realtime_ms(),
                                .allow_unsigned = request->allow_unsigned || request->unverified,
                                .meter = {.report = progress, .user = user, .cancel = request->cancel}};
    pi_auto_image struct image image = {0};
    int r = run_steps(&fetch, &image, err);
    pi_strv_done(&fetch.urls);
    free(fetch.metalink_path);
    if (r < 0)
        return r;
    image_meter_phase(&fetch.meter, IMAGE_DONE, image.size_bytes);
    *ret = image;
    image = (struct image){0};
    return 0;
}

int image_fetch_for_user(const struct image_request *request, image_progress_fn progress, void *user,
                         struct image *ret, struct pi_error *err)
{
    pi_auto_paths struct pi_paths paths = {0};
    pi_auto_image_sources struct image_sources sources = {0};
    pi_auto_image_store struct image_store store = {.dir_fd = -1};
    int r = pi_paths_find(&paths, err);
    if (r == 0)
        r = image_sources_load(paths.config, &sources, err);
    if (r == 0)
        r = image_store_open(paths.images, &store, err);
    return r < 0 ? r : image_fetch(&store, &sources, request, progress, user, ret, err);
}
