/* SPDX-License-Identifier: MIT */
#include "agent/image/fetch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/paths.h"
#include "agent/base/text.h"
#include "agent/image/arch.h"
#include "agent/image/checksum.h"
#include "agent/image/download.h"
#include "agent/image/import.h"
#include "agent/image/name.h"
#include "agent/image/resolve.h"
#include "agent/image/steps.h"
#include "agent/image/stored.h"

/* Checks the name only, before anything is read. A worker checks the image's partitions later
 * (fetch_job.c). */
static int check_arch_name(const struct image_fetch *fetch, struct pi_error *err)
{
    int length;
    if (fetch->ref.kind == IMAGE_REF_FEDORA)
        return 0;
    const char *base = image_base_name(fetch->ref.text, &length);
    pi_auto_free char *name = strndup(base, (size_t)length);
    return name ? image_arch_check_name(name, fetch->request->arch, err)
                : pi_fail(err, ENOMEM, "%s", fetch->ref.text);
}

static int prepare_fetch(struct image_fetch *fetch, struct pi_error *err)
{
    const struct image_request *request = fetch->request;
    if (!request->arch || !image_arch_known(request->arch))
        return pi_refuse(err, PI_USAGE, "the architecture '%.32s' is not known: x86_64 or aarch64",
                         request->arch ? request->arch : "");
    int r = request->sha256 ? image_sha256_parse(request->sha256, fetch->sha256, err) : 0;
    if (r < 0)
        return r;
    if (!pi_is_utf8(request->ref))
        return pi_refuse(err, PI_USAGE, "the image's name is not UTF-8: rename it");
    snprintf(fetch->meter.now.name, sizeof fetch->meter.now.name, "%s", request->ref);
    r = image_ref_parse(request->ref, &fetch->ref, err);
    return r < 0 ? r : check_arch_name(fetch, err);
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

static int find_expected(struct image_fetch *fetch, struct image *ret, struct pi_error *err)
{
    pi_auto_image struct image wanted = {0};
    const char *release = fetch->ref.release;
    int r = prepare_fetch(fetch, err);
    if (r < 0 || fetch->ref.kind == IMAGE_REF_FILE)
        return r < 0 ? r : image_import_expect(fetch, ret, err);
    if (fetch->store->dir_fd < 0)
        return 0;
    memcpy(wanted.sha256, fetch->sha256, sizeof wanted.sha256);
    if (image_set(&wanted.source, fetch->ref.text) < 0)
        return pi_fail(err, ENOMEM, "%s", fetch->ref.text);
    if (fetch->ref.kind == IMAGE_REF_FEDORA && !fetch->sha256[0])
        image_store_newest(fetch->store, release[0] ? release : NULL, fetch->request->arch,
                           fetch->allow_unsigned, ret, NULL);
    else
        image_find_stored(fetch, &wanted, ret);
    return 0;
}

int image_expect_for_user(const struct image_request *request, struct image *ret, struct pi_error *err)
{
    pi_auto_paths struct pi_paths paths = {0};
    pi_auto_image_store struct image_store store = {.dir_fd = -1};
    pi_auto_image struct image image = {0};
    int r = pi_paths_find(&paths, err);
    if (r == 0 && access(paths.images, F_OK) == 0)
        r = image_store_open(paths.images, &store, err);
    struct image_fetch fetch = {.store = &store,
                                .request = request,
                                .allow_unsigned = request->allow_unsigned || request->unverified};
    if (r == 0)
        r = find_expected(&fetch, &image, err);
    if (r < 0)
        return r;
    *ret = image;
    image = (struct image){0};
    return 0;
}
