/* SPDX-License-Identifier: MIT */
#include "agent/image/digest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/fs.h"

#define CHUNK 65536u

EVP_MD_CTX *image_digest_new(void)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    if (digest && EVP_DigestInit_ex(digest, EVP_sha256(), NULL))
        return digest;
    EVP_MD_CTX_free(digest);
    return NULL;
}

void image_digest_hex(EVP_MD_CTX *digest, char ret[IMAGE_SHA256_LENGTH + 1])
{
    unsigned char bytes[EVP_MAX_MD_SIZE] = {0};
    EVP_DigestFinal_ex(digest, bytes, NULL);
    for (size_t i = 0; i < IMAGE_SHA256_LENGTH / 2; i++)
        snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
}

int image_digest_bytes(const void *data, size_t size, char ret[IMAGE_SHA256_LENGTH + 1])
{
    pi_auto_digest EVP_MD_CTX *digest = image_digest_new();
    if (!digest)
        return -ENOMEM;
    EVP_DigestUpdate(digest, data, size);
    image_digest_hex(digest, ret);
    return 0;
}

int image_digest_text(const char *text, char ret[IMAGE_SHA256_LENGTH + 1])
{
    return image_digest_bytes(text, strlen(text), ret);
}

bool image_is_zero(const void *data, size_t size)
{
    const char *bytes = data;
    return bytes[0] == 0 && !memcmp(bytes, bytes + 1, size - 1);
}

/* At the file's offset: everything before it was written or skipped. */
static int write_sparse(int to, const char *data, size_t size)
{
    if (image_is_zero(data, size))
        return lseek(to, (off_t)size, SEEK_CUR) < 0 ? -errno : 0;
    return pi_write_all(to, data, size);
}

int image_digest_file(int from, int to, uint64_t total_bytes, struct image_meter *meter,
                      char ret[IMAGE_SHA256_LENGTH + 1], struct pi_error *err)
{
    char chunk[CHUNK];
    pi_auto_digest EVP_MD_CTX *digest = image_digest_new();
    if (!digest)
        return pi_fail(err, ENOMEM, "cannot hash");
    uint64_t done = 0;
    for (;;) {
        if (image_meter_cancelled(meter))
            return image_meter_give_up(meter, err);
        ssize_t n = pread(from, chunk, sizeof chunk, (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return pi_fail(err, errno, "cannot read %s", meter->now.name);
        if (n == 0)
            break;
        EVP_DigestUpdate(digest, chunk, (size_t)n);
        int r = to >= 0 ? write_sparse(to, chunk, (size_t)n) : 0;
        if (r < 0)
            return pi_fail(err, -r, "cannot write the copy of %s", meter->now.name);
        done += (uint64_t)n;
        image_meter_step(meter, done, total_bytes);
    }
    if (done != total_bytes)
        return pi_refuse(err, PI_CONFLICT,
                         "%s is being changed by another program: try again when that is done",
                         meter->now.name);
    if (to >= 0 && ftruncate(to, (off_t)done) < 0)
        return pi_fail(err, errno, "cannot write the copy of %s", meter->now.name);
    image_digest_hex(digest, ret);
    return 0;
}
