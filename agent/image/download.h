/*
 * One transfer over http or https by libcurl, with curl's own rules for proxies (https_proxy, no_proxy),
 * ~/.netrc and CA certificates (CURL_CA_BUNDLE, SSL_CERT_FILE).
 *
 * A transfer ends when no connection was made in 30 s, or when less than 1 KiB a second came for 30 s.
 *
 * Errors: PI_NOT_FOUND (404, 410), PI_NETWORK with the URL, the reason and a hint, PI_HOST (no space),
 * PI_UNVERIFIED (the size is not the published one), and PI_FAILED with -ECANCELED.
 */
#ifndef PIAGENT_IMAGE_DOWNLOAD_H
#define PIAGENT_IMAGE_DOWNLOAD_H

#include <stddef.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/image/image.h"
#include "agent/image/meter.h"

#define IMAGE_FILE_MAX ((uint64_t)64 << 30) /* no image is larger */

struct image_download {
    const char *url;
    int fd;              /* an empty file, written from its start; not synced */
    uint64_t size_bytes; /* published; 0 = unknown */
    /* A checksum decides in the end, so a redirect may lead from https to http; else it may not. */
    bool checksum_known;
};

/* Receives a file, hashing it on the way. Steps the meter. */
int image_download(const struct image_download *what, struct image_meter *meter,
                   char ret_sha256[IMAGE_SHA256_LENGTH + 1], uint64_t *ret_size_bytes, struct pi_error *err);

/* Receives a text of at most max bytes into *ret (appended). At most 60 s. */
int image_download_text(const char *url, size_t max, struct image_meter *meter, struct pi_buf *ret,
                        struct pi_error *err);

/* Whether bytes more fit beside fd; PI_HOST with what is missing where not. */
int image_space_check(int fd, uint64_t bytes, struct pi_error *err);

#endif
