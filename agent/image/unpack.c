/* SPDX-License-Identifier: MIT */
#include "agent/image/unpack.h"

#include <errno.h>
#include <lzma.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"
#include "agent/image/digest.h"
#include "agent/image/space.h"

#define CHUNK      65536u
#define MEMORY_MAX ((uint64_t)128 << 20)
#define WINDOW_LOG 27 /* of 128 MiB */

struct image_unpack {
    enum image_packing packing;
    int fd;
    lzma_stream xz;
    ZSTD_DCtx *zst;
    EVP_MD_CTX *digest;
    uint64_t size_bytes;
    bool ended; /* at the end of a stream or frame: nothing more has to come */
    unsigned char chunk[CHUNK];
};

enum image_packing image_packing_of(const char *name, int *length)
{
    static const struct {
        const char *suffix;
        enum image_packing packing;
    } known[] = {{".xz", IMAGE_XZ}, {".zst", IMAGE_ZST}};
    for (size_t i = 0; i < PI_ARRAY_SIZE(known); i++) {
        int n = (int)strlen(known[i].suffix);
        if (*length > n && !memcmp(name + *length - n, known[i].suffix, (size_t)n)) {
            *length -= n;
            return known[i].packing;
        }
    }
    return IMAGE_UNPACKED;
}

static int no_memory(struct pi_error *err)
{
    return pi_fail(err, ENOMEM, "cannot unpack the image");
}

static int begin_stream(struct image_unpack *u, struct pi_error *err)
{
    bool good = EVP_DigestInit_ex(u->digest, EVP_sha256(), NULL);
    u->size_bytes = 0;
    u->ended = false;
    if (u->packing == IMAGE_XZ)
        good &= lzma_stream_decoder(&u->xz, MEMORY_MAX, LZMA_CONCATENATED) == LZMA_OK;
    else
        good &= !ZSTD_isError(ZSTD_DCtx_reset(u->zst, ZSTD_reset_session_and_parameters)) &&
                !ZSTD_isError(ZSTD_DCtx_setParameter(u->zst, ZSTD_d_windowLogMax, WINDOW_LOG));
    return good ? 0 : no_memory(err);
}

int image_unpack_new(enum image_packing packing, int fd, struct image_unpack **ret, struct pi_error *err)
{
    pi_auto_image_unpack struct image_unpack *u = calloc(1, sizeof *u);
    if (!u)
        return no_memory(err);
    u->packing = packing;
    u->fd = fd;
    u->digest = image_digest_new();
    if (packing == IMAGE_ZST)
        u->zst = ZSTD_createDCtx();
    if (!u->digest || (packing == IMAGE_ZST && !u->zst))
        return no_memory(err);
    int r = begin_stream(u, err);
    if (r == 0)
        *ret = pi_steal(u);
    return r;
}

/* Writes the chunk to its place; zeros are left out. */
static int put_unpacked(struct image_unpack *u, size_t size, struct pi_error *err)
{
    if (!size)
        return 0;
    if (size > IMAGE_UNPACKED_MAX - u->size_bytes)
        return pi_refuse(err, PI_UNVERIFIED, "it unpacks to more than %llu bytes: no image is that large",
                         (unsigned long long)IMAGE_UNPACKED_MAX);
    EVP_DigestUpdate(u->digest, u->chunk, size);
    for (size_t done = image_is_zero(u->chunk, size) ? size : 0; done < size;) {
        ssize_t n = pwrite(u->fd, u->chunk + done, size - done, (off_t)(u->size_bytes + done));
        if (n < 0 && (errno == ENOSPC || errno == EDQUOT))
            return image_space_full(err);
        if (n < 0 && errno != EINTR)
            return pi_fail(err, errno, "cannot write the unpacked image");
        done += n > 0 ? (size_t)n : 0;
    }
    u->size_bytes += size;
    return 0;
}

static int refuse_stream(struct pi_error *err)
{
    return pi_refuse(err, PI_UNVERIFIED,
                     "the compressed image is damaged, cut short, or needs more than %llu MiB of memory",
                     (unsigned long long)(MEMORY_MAX >> 20));
}

static int feed_xz(struct image_unpack *u, const void *data, size_t size, lzma_action action,
                   struct pi_error *err)
{
    u->xz.next_in = data;
    u->xz.avail_in = size;
    for (lzma_ret code = LZMA_OK;
         code == LZMA_OK && (u->xz.avail_in || !u->xz.avail_out || action == LZMA_FINISH);) {
        u->xz.next_out = u->chunk;
        u->xz.avail_out = sizeof u->chunk;
        code = lzma_code(&u->xz, action);
        int r = put_unpacked(u, sizeof u->chunk - u->xz.avail_out, err);
        if (r < 0)
            return r;
        if (code != LZMA_OK && code != LZMA_STREAM_END)
            return code == LZMA_MEM_ERROR ? no_memory(err) : refuse_stream(err);
        u->ended = code == LZMA_STREAM_END;
    }
    return 0;
}

static int feed_zst(struct image_unpack *u, const void *data, size_t size, struct pi_error *err)
{
    ZSTD_inBuffer in = {.src = data, .size = size};
    for (bool more = true; in.pos < in.size || more;) {
        ZSTD_outBuffer out = {.dst = u->chunk, .size = sizeof u->chunk};
        size_t left = ZSTD_decompressStream(u->zst, &out, &in);
        if (ZSTD_isError(left))
            return ZSTD_getErrorCode(left) == ZSTD_error_memory_allocation ? no_memory(err)
                                                                           : refuse_stream(err);
        u->ended = left == 0;
        more = out.pos == out.size && !u->ended;
        int r = put_unpacked(u, out.pos, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int image_unpack_feed(struct image_unpack *u, const void *data, size_t size, struct pi_error *err)
{
    return u->packing == IMAGE_XZ ? feed_xz(u, data, size, LZMA_RUN, err) : feed_zst(u, data, size, err);
}

int image_unpack_restart(struct image_unpack *u, struct pi_error *err)
{
    return ftruncate(u->fd, 0) < 0 ? pi_fail(err, errno, "cannot write the unpacked image")
                                   : begin_stream(u, err);
}

int image_unpack_finish(struct image_unpack *u, uint64_t *ret_size_bytes,
                        char ret_sha256[IMAGE_SHA256_LENGTH + 1], struct pi_error *err)
{
    int r = u->packing == IMAGE_XZ ? feed_xz(u, NULL, 0, LZMA_FINISH, err) : 0;
    if (r < 0)
        return r;
    if (!u->ended)
        return refuse_stream(err);
    if (ftruncate(u->fd, (off_t)u->size_bytes) < 0)
        return pi_fail(err, errno, "cannot write the unpacked image");
    image_digest_hex(u->digest, ret_sha256);
    *ret_size_bytes = u->size_bytes;
    return 0;
}

void image_unpack_free(struct image_unpack **unpack)
{
    struct image_unpack *u = *unpack;
    if (!u)
        return;
    lzma_end(&u->xz);
    ZSTD_freeDCtx(u->zst);
    EVP_MD_CTX_free(u->digest);
    free(u);
    *unpack = NULL;
}
