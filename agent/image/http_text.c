/* SPDX-License-Identifier: MIT */
#include "agent/image/http_text.h"

#include <errno.h>

#include "agent/image/http.h"

#define TEXT_S 60L

struct sink {
    struct image_meter *meter;
    struct pi_buf *text;
    size_t left, headers;
    int r; /* why the sink stopped the transfer, its message in error */
    struct pi_error error;
};

static size_t on_text_header(char *data, size_t one, size_t count, void *user)
{
    struct sink *sink = user;
    (void)data;
    sink->headers += one * count;
    if (sink->headers <= IMAGE_HTTP_HEADERS_MAX)
        return one * count;
    sink->r = pi_refuse(&sink->error, PI_NETWORK, "the server sends headers without end");
    return 0;
}

static size_t on_text_body(char *data, size_t one, size_t count, void *user)
{
    struct sink *sink = user;
    size_t size = one * count;
    if (size > sink->left)
        sink->r =
            pi_refuse(&sink->error, PI_NETWORK, "the server sends more bytes than such a file may have");
    else if ((sink->r = pi_buf_add(sink->text, data, size)) < 0)
        pi_fail(&sink->error, -sink->r, "cannot keep the text");
    if (sink->r < 0)
        return 0;
    sink->left -= size;
    return size;
}

static int on_text_progress(void *user, curl_off_t total, curl_off_t now, curl_off_t up_total,
                            curl_off_t up_now)
{
    const struct sink *sink = user;
    struct image_progress *shown = &sink->meter->now;
    (void)total, (void)now, (void)up_total, (void)up_now;
    image_meter_step(sink->meter, shown->done_bytes, shown->total_bytes);
    return image_meter_cancelled(sink->meter);
}

int image_text_get(const char *url, size_t max, struct image_meter *meter, struct pi_buf *ret,
                   struct pi_error *err)
{
    struct sink sink = {.meter = meter, .text = ret, .left = max};
    char reason[IMAGE_HTTP_REASON_BYTES];
    pi_auto_curl CURL *curl = curl_easy_init();
    if (!curl)
        return pi_fail(err, ENOMEM, "cannot fetch %s", url);
    CURLcode code = image_http_setup(curl, url, false, IMAGE_HTTP_STALL_S, reason);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, TEXT_S);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_text_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &sink);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_text_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &sink);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_text_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &sink);
    if (code == CURLE_OK)
        code = curl_easy_perform(curl);
    if (code == CURLE_OK)
        return 0;
    if (sink.r == 0)
        return code == CURLE_ABORTED_BY_CALLBACK ? image_meter_give_up(meter, err)
                                                 : image_http_failed(curl, code, url, reason, err);
    if (err)
        *err = sink.error;
    return pi_context(err, sink.r, "cannot fetch %s", url);
}
