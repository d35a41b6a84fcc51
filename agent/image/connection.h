/* SPDX-License-Identifier: MIT */
/*
 * One connection of a transfer. It asks for a span of the object, lets the transfer judge the answer before
 * it writes the first byte, and writes the span into the file.
 *
 *           start               the answer is accepted, with its first byte
 *     IDLE ───────▶ ASKING ──────────────────────────────────────────────────▶ RECEIVING
 *      ▲              │ stop                                                       │ stop
 *      └──────────────┴────────────────────────────────────────────────────────────┘
 */
#ifndef PIAGENT_IMAGE_CONNECTION_H
#define PIAGENT_IMAGE_CONNECTION_H

#include "agent/base/error.h"
#include "agent/image/answer.h"
#include "agent/image/http.h"
#include "agent/image/spans.h"

enum image_connection_state {
    IMAGE_CONNECTION_IDLE,
    IMAGE_CONNECTION_ASKING, /* no byte yet */
    IMAGE_CONNECTION_RECEIVING,
};

struct image_connection {
    enum image_connection_state state;
    unsigned number;
    int fd;                  /* borrowed: the file that is written */
    struct image_span *span; /* borrowed: the bytes to receive */
    /* Judges the answer; may change the span. Negative, with connection->error, if the answer cannot be
     * used. */
    int (*accept)(struct image_connection *connection, void *user);
    void *user;
    CURL *curl;                /* made at first use, and kept */
    struct curl_slist *header; /* If-Range */
    char *held;                /* received and not yet written; made at first use */
    bool ranged;               /* it asked for a range, not for all of the object */
    struct image_answer answer;
    uint64_t received_bytes; /* in all its requests */
    int r; /* why this side ended the request, and error says more; -EALREADY = the span was cut: no failure
            */
    struct pi_error error;
    char reason[IMAGE_HTTP_REASON_BYTES];
};

struct image_connection_request {
    const char *url;
    const char *validator; /* for If-Range, or NULL */
    bool ranged;           /* ask for the span; else for all of the object */
    bool http_redirects;
    unsigned stall_s;
};

/* Sends the request in multi, for *span. 0 or -ENOMEM. */
int image_connection_start(struct image_connection *connection, CURLM *multi,
                           const struct image_connection_request *request);

/* Writes the bytes that are held. Negative, with connection->error, if it cannot. */
int image_connection_flush(struct image_connection *connection);

/* Call it after libcurl ended the request. Writes the bytes that are held, and tells if the span is
 * complete. */
bool image_connection_is_complete(struct image_connection *connection, CURLcode code);

/* Takes the request out of multi, and drops the bytes that are held. The connection can be started again. */
void image_connection_stop(struct image_connection *connection, CURLM *multi);

/* Releases the memory of a connection that is stopped. */
void image_connection_done(struct image_connection *connection);

#endif
