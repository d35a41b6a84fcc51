/* SPDX-License-Identifier: MIT */
#include "agent/image/hasher.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/image/digest.h"

#define CHUNK         131072u
#define WRITE_OUT     ((uint64_t)8 << 20) /* bytes */
#define WRITE_BEHIND  4u                  /* blocks of so many bytes that the disk may have in hand */
#define LOOK_AGAIN_NS 100000000L

struct image_hasher {
    int fd;
    pthread_t thread;
    pthread_mutex_t lock; /* guards all below but digest and chunk, which are the thread's while it reads */
    pthread_cond_t more, caught_up;
    uint64_t limit, at;
    unsigned turn; /* counts restarts: bytes that were read in an older turn do not count */
    bool idle, ending;
    int failed; /* negative errno, its message in error */
    struct pi_error error;
    struct image_unpack *unpack; /* may be NULL */
    EVP_MD_CTX *digest;
    char chunk[CHUNK];
};

/* One chunk, without the lock. */
static ssize_t read_chunk(struct image_hasher *f, uint64_t at, uint64_t limit)
{
    size_t want = limit - at < CHUNK ? (size_t)(limit - at) : CHUNK;
    ssize_t n;
    do
        n = pread(f->fd, f->chunk, want, (off_t)at);
    while (n < 0 && errno == EINTR);
    return n;
}

/* When a whole block was read, lets the disk begin to write it, and drops an older, written block from
 * memory. The next block reuses its memory, because new memory would cost more than all the rest. The fsync
 * at the end then has little to do. */
static void write_out(const struct image_hasher *f, uint64_t at, uint64_t n)
{
    uint64_t block = (at + n) / WRITE_OUT;
    if (block == at / WRITE_OUT)
        return;
    (void)sync_file_range(f->fd, (off_t)((block - 1) * WRITE_OUT), (off_t)WRITE_OUT, SYNC_FILE_RANGE_WRITE);
    if (block <= WRITE_BEHIND)
        return;
    off_t behind = (off_t)((block - 1 - WRITE_BEHIND) * WRITE_OUT);
    (void)sync_file_range(f->fd, behind, (off_t)WRITE_OUT,
                          SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
    (void)posix_fadvise(f->fd, behind, (off_t)WRITE_OUT, POSIX_FADV_DONTNEED);
}

static int take_chunk(struct image_hasher *f, uint64_t at, size_t n, struct pi_error *err)
{
    EVP_DigestUpdate(f->digest, f->chunk, n);
    write_out(f, at, n);
    return f->unpack ? image_unpack_feed(f->unpack, f->chunk, n, err) : 0;
}

static void hash_from_start(struct image_hasher *f)
{
    f->at = 0;
    EVP_DigestInit_ex(f->digest, EVP_sha256(), NULL);
    f->failed = f->unpack ? image_unpack_restart(f->unpack, &f->error) : 0;
}

static void hash_next_chunk(struct image_hasher *f)
{
    uint64_t at = f->at, limit = f->limit;
    unsigned turn = f->turn;
    f->idle = false;
    pthread_mutex_unlock(&f->lock);
    struct pi_error error = {0};
    ssize_t n = read_chunk(f, at, limit);
    int r = n > 0 ? take_chunk(f, at, (size_t)n, &error)
                  : pi_fail(&error, n < 0 ? errno : EIO, "cannot read what was written");
    pthread_mutex_lock(&f->lock);
    f->idle = true;
    if (turn != f->turn) {
        hash_from_start(f);
    } else if (r < 0) {
        f->failed = r;
        f->error = error;
    } else {
        f->at += (uint64_t)n;
    }
    if (f->failed || f->at == f->limit)
        pthread_cond_signal(&f->caught_up);
}

static void *run_hasher(void *user)
{
    struct image_hasher *f = user;
    pthread_mutex_lock(&f->lock);
    while (!f->ending) {
        if (f->failed || f->at == f->limit)
            pthread_cond_wait(&f->more, &f->lock);
        else
            hash_next_chunk(f);
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

int image_hasher_new(int fd, struct image_unpack *unpack, struct image_hasher **ret, struct pi_error *err)
{
    struct image_hasher *f = calloc(1, sizeof *f);
    EVP_MD_CTX *digest = f ? image_digest_new() : NULL;
    int errnum = digest ? 0 : ENOMEM;
    if (!errnum) {
        *f = (struct image_hasher){.fd = fd, .unpack = unpack, .idle = true, .digest = digest};
        pthread_mutex_init(&f->lock, NULL);
        pthread_cond_init(&f->more, NULL);
        pthread_cond_init(&f->caught_up, NULL);
        errnum = pthread_create(&f->thread, NULL, run_hasher, f);
    }
    if (errnum) {
        EVP_MD_CTX_free(digest);
        free(f);
        return pi_fail(err, errnum, "cannot start hashing");
    }
    *ret = f;
    return 0;
}

void image_hasher_advance(struct image_hasher *f, uint64_t bytes)
{
    pthread_mutex_lock(&f->lock);
    if (bytes > f->limit) {
        /* Wakes the thread once a chunk, not for every packet. */
        bool wake = f->idle && bytes - f->at >= CHUNK;
        f->limit = bytes;
        if (wake)
            pthread_cond_signal(&f->more);
    }
    pthread_mutex_unlock(&f->lock);
}

void image_hasher_restart(struct image_hasher *f)
{
    pthread_mutex_lock(&f->lock);
    f->turn++;
    f->limit = 0;
    if (f->idle)
        hash_from_start(f);
    pthread_mutex_unlock(&f->lock);
}

static void wait_a_little(struct image_hasher *f)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += LOOK_AGAIN_NS;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    pthread_cond_timedwait(&f->caught_up, &f->lock, &until);
}

int image_hasher_digest(struct image_hasher *f, uint64_t size_bytes, struct image_meter *meter,
                        char ret_sha256[IMAGE_SHA256_LENGTH + 1], struct pi_error *err)
{
    bool cancelled = false;
    pi_auto_digest EVP_MD_CTX *copy = image_digest_new();
    if (!copy)
        return pi_fail(err, ENOMEM, "cannot hash");
    pthread_mutex_lock(&f->lock);
    f->limit = size_bytes;
    pthread_cond_signal(&f->more);
    while (!f->failed && (f->at < size_bytes || !f->idle) && !(cancelled = image_meter_cancelled(meter))) {
        image_meter_step(meter, f->at, size_bytes);
        wait_a_little(f);
    }
    int failed = f->failed;
    if (failed && err)
        *err = f->error;
    bool copied = !failed && !cancelled && EVP_MD_CTX_copy_ex(copy, f->digest);
    pthread_mutex_unlock(&f->lock);
    if (cancelled)
        return image_meter_give_up(meter, err);
    if (failed)
        return failed;
    if (!copied)
        return pi_fail(err, ENOMEM, "cannot hash");
    image_digest_hex(copy, ret_sha256);
    return 0;
}

void image_hasher_free(struct image_hasher **hasher)
{
    struct image_hasher *f = *hasher;
    if (!f)
        return;
    pthread_mutex_lock(&f->lock);
    f->ending = true;
    pthread_cond_signal(&f->more);
    pthread_mutex_unlock(&f->lock);
    pthread_join(f->thread, NULL);
    pthread_cond_destroy(&f->more);
    pthread_cond_destroy(&f->caught_up);
    pthread_mutex_destroy(&f->lock);
    EVP_MD_CTX_free(f->digest);
    free(f);
    *hasher = NULL;
}
