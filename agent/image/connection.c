/* SPDX-License-Identifier: MIT */
#include "agent/image/connection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/image/space.h"

#define RECEIVE_BUFFER (256L << 10)
/* Bytes written at once. libcurl hands on 16 KiB each: to write those would cost more than to receive them.
 */
#define HELD_MAX ((size_t)256 << 10)

static size_t on_connection_header(char *data, size_t one, size_t count, void *user)
{
    struct image_connection *connection = user;
    if (image_answer_read(&connection->answer, data, one * count) == 0)
        return one * count;
    connection->r = pi_refuse(&connection->error, PI_NETWORK, "the server sends headers without end");
    return 0;
}

int image_connection_flush(struct image_connection *connection)
{
    struct image_span *span = connection->span;
    size_t written = 0;
    int r = 0;
    while (written < span->held_bytes && r == 0) {
        ssize_t n = pwrite(connection->fd, connection->held + written, span->held_bytes - written,
                           (off_t)(span->at + written));
        if (n >= 0)
            written += (size_t)n;
        else if (errno == ENOSPC || errno == EDQUOT)
            r = image_space_full(&connection->error);
        else if (errno != EINTR)
            r = pi_fail(&connection->error, errno, "cannot write the image");
    }
    span->at += written;
    span->held_bytes = 0;
    if (r < 0)
        connection->r = r;
    return r;
}

/* Writes happen at round offsets, wherever the span began. */
static int hold_bytes(struct image_connection *connection, const char *data, size_t size)
{
    struct image_span *span = connection->span;
    connection->received_bytes += size;
    while (size) {
        size_t room = HELD_MAX - image_span_position(span) % HELD_MAX;
        size_t n = size < room ? size : room;
        memcpy(connection->held + span->held_bytes, data, n);
        span->held_bytes += n;
        data += n;
        size -= n;
        if (n == room && image_connection_flush(connection) < 0)
            return connection->r;
    }
    return 0;
}

static int refuse_surplus(struct image_connection *connection, uint64_t end)
{
    return pi_refuse(&connection->error, PI_UNVERIFIED,
                     "the server sends more than the %llu bytes of the image", (unsigned long long)end);
}

static size_t on_connection_body(char *data, size_t one, size_t count, void *user)
{
    struct image_connection *connection = user;
    struct image_span *span = connection->span;
    size_t size = one * count;
    if (connection->r == 0 && connection->state == IMAGE_CONNECTION_ASKING) {
        connection->r = connection->accept(connection, connection->user);
        if (connection->r == 0)
            connection->state = IMAGE_CONNECTION_RECEIVING;
    }
    if (connection->r < 0)
        return 0;
    uint64_t end = span->end == UINT64_MAX ? IMAGE_FILE_MAX : span->end;
    uint64_t left = end - image_span_position(span);
    size_t fits = left < size ? (size_t)left : size;
    connection->r = hold_bytes(connection, data, fits);
    if (connection->r == 0 && fits < size)
        connection->r = span->last ? refuse_surplus(connection, end) : -EALREADY;
    return connection->r < 0 ? 0 : size;
}

static int ask_for_range(struct image_connection *connection, const char *validator)
{
    const struct image_span *span = connection->span;
    char range[64], condition[320];
    if (span->last)
        snprintf(range, sizeof range, "%llu-", (unsigned long long)span->at);
    else
        snprintf(range, sizeof range, "%llu-%llu", (unsigned long long)span->at,
                 (unsigned long long)span->end - 1);
    if (curl_easy_setopt(connection->curl, CURLOPT_RANGE, range) != CURLE_OK)
        return -ENOMEM;
    if (!validator)
        return 0;
    snprintf(condition, sizeof condition, "If-Range: %s", validator);
    connection->header = curl_slist_append(NULL, condition);
    curl_easy_setopt(connection->curl, CURLOPT_HTTPHEADER, connection->header);
    return connection->header ? 0 : -ENOMEM;
}

static int prepare_request(struct image_connection *connection,
                           const struct image_connection_request *request)
{
    CURL *curl = connection->curl;
    if (image_http_setup(curl, request->url, request->http_redirects, request->stall_s, connection->reason) !=
        CURLE_OK)
        return -ENOMEM;
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, RECEIVE_BUFFER);
    curl_easy_setopt(curl, CURLOPT_PRIVATE, connection);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_connection_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, connection);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_connection_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, connection);
    return request->ranged ? ask_for_range(connection, request->validator) : 0;
}

int image_connection_start(struct image_connection *connection, CURLM *multi,
                           const struct image_connection_request *request)
{
    if (!connection->curl && !(connection->curl = curl_easy_init()))
        return -ENOMEM;
    if (!connection->held && !(connection->held = malloc(HELD_MAX)))
        return -ENOMEM;
    curl_easy_reset(connection->curl);
    connection->error = (struct pi_error){0};
    connection->r = 0;
    connection->answer = (struct image_answer){0};
    connection->ranged = request->ranged;
    if (prepare_request(connection, request) < 0 ||
        curl_multi_add_handle(multi, connection->curl) != CURLM_OK)
        return -ENOMEM;
    connection->state = IMAGE_CONNECTION_ASKING;
    return 0;
}

bool image_connection_is_complete(struct image_connection *connection, CURLcode code)
{
    const struct image_span *span = connection->span;
    if (image_connection_flush(connection) < 0)
        return false;
    if (connection->r == -EALREADY)
        return true;
    return connection->r == 0 && code == CURLE_OK && connection->state == IMAGE_CONNECTION_RECEIVING &&
           (span->end == UINT64_MAX || span->at >= span->end);
}

void image_connection_stop(struct image_connection *connection, CURLM *multi)
{
    if (connection->state == IMAGE_CONNECTION_IDLE)
        return;
    curl_multi_remove_handle(multi, connection->curl);
    curl_slist_free_all(connection->header);
    connection->header = NULL;
    connection->span->held_bytes = 0;
    connection->state = IMAGE_CONNECTION_IDLE;
}

void image_connection_done(struct image_connection *connection)
{
    curl_slist_free_all(connection->header);
    curl_easy_cleanup(connection->curl);
    free(connection->held);
    *connection = (struct image_connection){0};
}
