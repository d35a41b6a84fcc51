/* SPDX-License-Identifier: MIT */
/*
 * Transfers one object from one server into a file, over as many connections as the server allows and as make
 * it faster.
 *
 * It begins with one connection. If that one is slow (pace.h), if the server proves that it serves ranges of
 * the same object (ranges.h; RFC 9110, 13.1.5, 14 and 15.3.7), and if more connections are faster, they share
 * the missing bytes (spans.h). Each byte is written to its own place. The hashing thread learns how much of
 * the beginning is complete, and resume->done_bytes counts it, also on failure.
 *
 * A transfer ends if no connection is made in 30 s, or if less than 1 KiB a second comes for stall_s.
 */
#ifndef PIAGENT_IMAGE_TRANSFER_H
#define PIAGENT_IMAGE_TRANSFER_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/error.h"
#include "agent/image/hasher.h"
#include "agent/image/meter.h"
#include "agent/image/resume.h"

struct image_transfer {
    const char *url;
    int fd;               /* open for reading and writing; not synced */
    uint64_t size_bytes;  /* as published; 0 = unknown */
    bool checksum_known;  /* a checksum decides in the end, so a redirect may lead from https to http */
    bool same_url;        /* resume comes from the same URL: its validators count */
    unsigned connections; /* at most; 0 = IMAGE_CONNECTIONS_MAX */
    unsigned stall_s;
    struct image_resume *resume; /* in and out: how far the file is, and the proof */
    void (*checkpoint)(const struct image_resume *resume, void *user); /* once a second; may be NULL */
    void *user;
};

/*
 * Goes on from resume->done_bytes if the server serves the same object, else from the beginning. The server's
 * validators prove that it is the same if same_url; else its size does, which is enough only if
 * checksum_known. On success the file is complete and has resume->done_bytes bytes. Steps the meter.
 *
 * Errors: those of image_http_failed(); PI_NETWORK also for a server that contradicts itself, PI_HOST (no
 * space), PI_UNVERIFIED (the size is not the published one), PI_FAILED with -ECANCELED.
 */
int image_transfer_run(const struct image_transfer *transfer, struct image_hasher *hasher,
                       struct image_meter *meter, struct pi_error *err);

#endif
