/* SPDX-License-Identifier: MIT */
#include "agent/image/changed.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/image/answer.h"
#include "agent/image/http.h"

#define HTTP_NOT_MODIFIED 304
#define ANSWER_S          60L

static size_t on_changed_header(char *data, size_t one, size_t count, void *user)
{
    return image_answer_read(user, data, one * count) < 0 ? 0 : one * count;
}

static size_t stop_at_body(char *data, size_t one, size_t count, void *user)
{
    (void)data, (void)one, (void)count, (void)user;
    return 0; /* a body comes: it is another object */
}

static int on_changed_progress(void *user, curl_off_t total, curl_off_t now, curl_off_t up_total,
                               curl_off_t up_now)
{
    (void)total, (void)now, (void)up_total, (void)up_now;
    return image_meter_cancelled(user);
}

static CURLcode ask_if_changed(CURL *curl, const char *url, struct curl_slist *condition,
                               struct image_answer *answer, struct image_meter *meter, char *reason)
{
    CURLcode code = image_http_setup(curl, url, false, IMAGE_HTTP_STALL_S, reason);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, ANSWER_S);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, condition);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_changed_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, answer);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, stop_at_body);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_changed_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, meter);
    return code == CURLE_OK ? curl_easy_perform(curl) : code;
}

int image_is_unchanged(const char *url, const struct image *stored, struct image_meter *meter,
                       struct pi_error *err)
{
    char reason[IMAGE_HTTP_REASON_BYTES], condition[512];
    struct image_answer answer = {0};
    long status = 0;
    if (!stored->etag && !stored->last_modified)
        return 0;
    snprintf(condition, sizeof condition, "%s: %s", stored->etag ? "If-None-Match" : "If-Modified-Since",
             stored->etag ? stored->etag : stored->last_modified);
    pi_auto_curl CURL *curl = curl_easy_init();
    struct curl_slist *header = curl ? curl_slist_append(NULL, condition) : NULL;
    if (!header)
        return pi_fail(err, ENOMEM, "cannot ask %s", url);
    CURLcode code = ask_if_changed(curl, url, header, &answer, meter, reason);
    curl_slist_free_all(header);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    /* Some servers ignore the condition, and answer with the same ETag. */
    if (code == CURLE_OK || code == CURLE_WRITE_ERROR)
        return status == HTTP_NOT_MODIFIED || (stored->etag && !strcmp(answer.etag, stored->etag));
    return code == CURLE_ABORTED_BY_CALLBACK ? image_meter_give_up(meter, err)
                                             : image_http_failed(curl, code, url, reason, err);
}
