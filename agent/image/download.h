/* SPDX-License-Identifier: MIT */
/*
 * One file from one server, over as many connections as the server allows and as help.
 *
 * It begins with one connection. Where that one is slow, the server proves that it serves ranges of the same
 * object (206 with Content-Range, If-Range: RFC 9110, 13.1.5, 14 and 15.3.7) and more connections bring more,
 * the rest is fetched in pieces. Bytes are written where they belong; what is there from the beginning on is
 * told to the follower, and counted in resume->done_bytes, also on failure.
 *
 * A transfer ends when no connection was made in 30 s, or when less than 1 KiB a second came for stall_s.
 */
#ifndef PIAGENT_IMAGE_DOWNLOAD_H
#define PIAGENT_IMAGE_DOWNLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/error.h"
#include "agent/image/follow.h"
#include "agent/image/meter.h"
#include "agent/image/resume.h"

#define IMAGE_FILE_MAX        ((uint64_t)64 << 30) /* no image is larger */
#define IMAGE_CONNECTIONS_MAX 8u

struct image_download {
    const char *url;
    int fd;              /* open for reading and writing; not synced */
    uint64_t size_bytes; /* published; 0 = unknown */
    /* A checksum decides in the end, so a redirect may lead from https to http; else it may not. */
    bool checksum_known;
    bool same_url;        /* resume was made by this very URL: its validators hold here */
    unsigned connections; /* at most; 0 = IMAGE_CONNECTIONS_MAX */
    unsigned stall_s;
    struct image_resume *resume; /* in: what is there; out: what is there now, and what proves it */
    void (*checkpoint)(const struct image_resume *resume, void *user); /* once a second; may be NULL */
    void *user;
};

/*
 * Goes on from resume->done_bytes where the server serves the same object: proven by its validators where
 * same_url, else by its size, and then only where checksum_known; from the beginning where not. In the end
 * the file has resume->done_bytes bytes, all of them. Steps the meter.
 *
 * Errors: those of image_http_failed(); PI_NETWORK also for a server that contradicts itself, PI_HOST (no
 * space), PI_UNVERIFIED (the size is not the published one), PI_FAILED with -ECANCELED.
 */
int image_download(const struct image_download *what, struct image_follow *follow, struct image_meter *meter,
                   struct pi_error *err);

#endif
