/* SPDX-License-Identifier: MIT */
#include "agent/image/http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/text.h"

#define CONNECT_S      30L
#define REDIRECTS_MAX  10L
#define HTTP_NOT_FOUND 404
#define HTTP_GONE      410

/* CURLOPT_PROTOCOLS_STR came with 7.85 and made the older option deprecated. */
static void set_protocols(CURL *curl, bool http_redirects)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, http_redirects ? "http,https" : "https");
#else
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS,
                     http_redirects ? (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS) : (long)CURLPROTO_HTTPS);
#endif
}

/* The curl program reads these two; the library leaves them to its user. */
static CURLcode set_certificates(CURL *curl)
{
    const char *bundle = getenv("CURL_CA_BUNDLE");
    if (!bundle || !*bundle)
        bundle = getenv("SSL_CERT_FILE");
    return bundle && *bundle ? curl_easy_setopt(curl, CURLOPT_CAINFO, bundle) : CURLE_OK;
}

CURLcode image_http_setup(CURL *curl, const char *url, bool http_redirects, unsigned stall_s, char *reason)
{
    *reason = '\0';
    /* libcurl copies these, and goes on without one if memory runs out. */
    CURLcode code = curl_easy_setopt(curl, CURLOPT_URL, url);
    if (code == CURLE_OK)
        code = curl_easy_setopt(curl, CURLOPT_USERAGENT, "piagent/" PIAGENT_VERSION);
    if (code == CURLE_OK)
        code = set_certificates(curl);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
    curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_OPTIONAL);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, IMAGE_HTTP_STALL_BYTES);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)stall_s);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
    /* A user who configured an http URL has chosen http. From https to http only if a checksum decides. */
    set_protocols(curl, http_redirects || pi_starts_with(url, "http://"));
    return code;
}

static const char *curl_hint(CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
        return "check the network, or set https_proxy if it is reached through a proxy";
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
        return "check this host's clock and CA certificates, or name yours in CURL_CA_BUNDLE";
    case CURLE_UNSUPPORTED_PROTOCOL:
        return "piagent follows a redirect from https to http only if a checksum is known";
    default:
        return "try again later, or name a mirror with PIAGENT_FEDORA_URL";
    }
}

int image_http_failed(CURL *curl, CURLcode code, const char *url, const char *reason, struct pi_error *err)
{
    long status = 0;
    char clean[256];
    if (code == CURLE_OUT_OF_MEMORY)
        return pi_fail(err, ENOMEM, "cannot fetch %s", url);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_HTTP_RETURNED_ERROR && (status == HTTP_NOT_FOUND || status == HTTP_GONE))
        return pi_refuse(err, PI_NOT_FOUND,
                         "%s does not exist (HTTP %ld): check the URL, or try another release", url, status);
    curl_off_t retry_s = 0;
    curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &retry_s);
    if (code == CURLE_HTTP_RETURNED_ERROR && retry_s > 0)
        return pi_refuse(
            err, PI_NETWORK,
            "cannot fetch %s: the server answered HTTP %ld, and asks to wait %s before the next try", url,
            status, pi_duration_format((uint64_t)retry_s * 1000, clean));
    if (code == CURLE_HTTP_RETURNED_ERROR)
        return pi_refuse(err, PI_NETWORK, "cannot fetch %s: the server answered HTTP %ld: %s", url, status,
                         curl_hint(code));
    if (!*reason)
        reason = curl_easy_strerror(code);
    return pi_refuse(err, PI_NETWORK, "cannot fetch %s: %s: %s", url,
                     pi_text_clean(reason, strlen(reason), clean, sizeof clean - 1), curl_hint(code));
}

int image_http_reach(const char *url, unsigned timeout_ms, struct pi_error *err)
{
    pi_auto_curl CURL *curl = curl_easy_init();
    char reason[IMAGE_HTTP_REASON_BYTES];
    if (!curl)
        return pi_fail(err, ENOMEM, "%s", url);
    CURLcode code = image_http_setup(curl, url, true, IMAGE_HTTP_STALL_S, reason);
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    if (code == CURLE_OK)
        code = curl_easy_perform(curl);
    return code == CURLE_OK ? 0 : image_http_failed(curl, code, url, reason, err);
}
