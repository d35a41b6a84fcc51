/* SPDX-License-Identifier: MIT */
#include "agent/image/index_cache.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "agent/base/clock.h"
#include "agent/base/fs.h"
#include "agent/image/digest.h"
#include "agent/image/http_text.h"
#include "agent/image/index.h"

#define FRESH_S 3600

/* One copy a URL, so that a mirror's index is never taken for Fedora's. */
static int cache_name(const char *url, char *ret, size_t size)
{
    char digest[IMAGE_SHA256_LENGTH + 1];
    int r = image_digest_text(url, digest);
    snprintf(ret, size, "../index-%.16s.json", r < 0 ? "" : digest);
    return r;
}

static json_t *read_cache(const struct image_store *store, const char *file, int64_t newer_than_s)
{
    pi_auto_buf struct pi_buf text = {0};
    struct stat st;
    if (fstatat(store->dir_fd, file, &st, 0) < 0 || st.st_mtim.tv_sec < newer_than_s ||
        pi_file_read(store->dir_fd, file, IMAGE_INDEX_MAX, &text, NULL) < 0)
        return NULL;
    return image_index_parse(text.data ? text.data : "", text.size, NULL);
}

static int download_index(const struct image_store *store, const char *url, const char *file,
                          struct image_meter *meter, json_t **ret, struct pi_error *err)
{
    pi_auto_buf struct pi_buf text = {0};
    int r = image_text_get(url, IMAGE_INDEX_MAX, meter, &text, err);
    if (r < 0)
        return r;
    *ret = image_index_parse(text.data ? text.data : "", text.size, err);
    if (!*ret)
        return pi_context(err, -EBADMSG, "%s", url);
    /* If the copy cannot be kept, the next command fetches the index again. */
    (void)pi_file_write(store->dir_fd, file, text.data, text.size, 0600, NULL);
    return 0;
}

int image_index_load(const struct image_store *store, const char *url, struct image_meter *meter,
                     json_t **ret, bool *ret_stale, struct pi_error *err)
{
    char file[64];
    if (cache_name(url, file, sizeof file) < 0)
        return pi_fail(err, ENOMEM, "cannot read the index");
    json_t *index = read_cache(store, file, (int64_t)(pi_realtime_ms() / 1000) - FRESH_S);
    int r = index ? 0 : download_index(store, url, file, meter, &index, err);
    *ret_stale = r < 0 && r != -ECANCELED && r != -ENOMEM && (index = read_cache(store, file, 0));
    if (!index)
        return r;
    *ret = index;
    return 0;
}
