/* SPDX-License-Identifier: MIT */
/* One connection of a download: a span of the file, asked for by one request, its answer checked before the
 * first byte is written. For download.c alone. */
#ifndef PIAGENT_IMAGE_PART_H
#define PIAGENT_IMAGE_PART_H

#include "agent/image/download.h"
#include "agent/image/http.h"

/* What a server's headers said of the object. */
struct image_answer {
    char etag[256], last_modified[64]; /* "" = none; a weak ETag is none */
    uint64_t range_start, range_total; /* of Content-Range */
    bool has_range;
    size_t header_bytes;
};

enum image_part_state {
    IMAGE_PART_IDLE,
    IMAGE_PART_ASKING, /* no byte yet */
    IMAGE_PART_RECEIVING,
};

/* Bytes written at once: as libcurl hands them on, 16 KiB each, writing would cost more than receiving. */
#define IMAGE_PART_HELD_MAX ((size_t)256 << 10)

struct image_span {
    uint64_t at, end;
};

struct image_part {
    CURL *curl; /* made at first use */
    enum image_part_state state;
    uint64_t at, end; /* the span that is still to be written; end UINT64_MAX = unknown */
    char *held;       /* IMAGE_PART_HELD_MAX bytes, made at first use: what came and belongs at `at` */
    size_t held_bytes;
    uint64_t begin;            /* where it was asked to begin */
    bool ranged;               /* a part of the file was asked for, not all of it */
    struct curl_slist *header; /* If-Range */
    struct image_answer answer;
    struct image_transfer *transfer;
    int r; /* why the sink stopped the connection, its message in error; -EALREADY = its span was cut */
    struct pi_error error;
    char reason[IMAGE_HTTP_REASON_BYTES];
};

struct image_transfer {
    const struct image_download *what;
    struct image_follow *follow;
    struct image_meter *meter;
    CURLM *multi;
    uint64_t total; /* of the object; UINT64_MAX = unknown */
    uint64_t next;  /* from here on no part has anything */
    uint64_t received_bytes;
    struct image_part parts[IMAGE_CONNECTIONS_MAX];
    unsigned wanted;                               /* connections */
    bool may_split;                                /* the server has not refused a range */
    bool proven;                                   /* it has served one */
    struct image_span todo[IMAGE_CONNECTIONS_MAX]; /* given back by parts that failed */
    size_t todo_count;
    bool settling;   /* more connections were just made: this window says nothing yet */
    bool void_start; /* the server cannot go on with what is there */
    unsigned failures;
    uint64_t rate, last_rate;         /* bytes a second, in the last two windows */
    uint64_t window_ms, window_bytes; /* when the window began, and what had been received then */
    uint64_t saved_ms;
};

/* Asks for [at, end). 0 or -ENOMEM. */
int image_part_start(struct image_part *part, uint64_t at, uint64_t end);

/* Up to where it has come, written or held. */
static inline uint64_t image_part_position(const struct image_part *part)
{
    return part->at + part->held_bytes;
}

/* Writes what is held. Negative, and part->r too, where it cannot. */
int image_part_flush(struct image_part *part);

/* The connection has ended; the handle is out of the multi again. What is held is dropped. */
void image_part_stop(struct image_part *part);

void image_part_done(struct image_part *part);

#endif
