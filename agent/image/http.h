/* SPDX-License-Identifier: MIT */
/*
 * The common part of all requests by libcurl. http and https only; curl's own rules for proxies (https_proxy,
 * no_proxy), ~/.netrc and CA certificates (CURL_CA_BUNDLE, SSL_CERT_FILE); bounds on time, redirects and
 * headers; and errors for people.
 */
#ifndef PIAGENT_IMAGE_HTTP_H
#define PIAGENT_IMAGE_HTTP_H

#include <curl/curl.h>
#include <stdbool.h>

#include "agent/base/error.h"

#define IMAGE_HTTP_STALL_S      30u
#define IMAGE_HTTP_STALL_BYTES  1024l /* a second: a transfer that is slower for the stall time ends */
#define IMAGE_HTTP_HEADERS_MAX  65536u
#define IMAGE_HTTP_REASON_BYTES CURL_ERROR_SIZE

static inline void image_curl_free(CURL **curl)
{
    curl_easy_cleanup(*curl);
}
#define pi_auto_curl __attribute__((cleanup(image_curl_free)))

/* Sets the common options for url. A redirect may lead to http if http_redirects, or if url is http itself.
 * reason (IMAGE_HTTP_REASON_BYTES) must live as long as the handle. If this fails, do not send the
 * request. */
CURLcode image_http_setup(CURL *curl, const char *url, bool http_redirects, unsigned stall_s, char *reason);

/* The error of a transfer that libcurl ended: PI_NOT_FOUND (404, 410; -ENOENT) or PI_NETWORK with the URL,
 * the reason and a hint; -ENOMEM. */
int image_http_failed(CURL *curl, CURLcode code, const char *url, const char *reason, struct pi_error *err);

/* Asks the server if the URL exists, for timeout_ms at most: 0, else image_http_failed(). */
int image_http_reach(const char *url, unsigned timeout_ms, struct pi_error *err);

#endif
