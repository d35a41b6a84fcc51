#include "agent/image/download.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/base/text.h"
#include "agent/image/digest.h"

#define CONNECT_S      30L
#define STALL_S        30L
#define STALL_BYTES_S  1024L
#define TEXT_S         60L
#define REDIRECTS_MAX  10L
#define RECEIVE_BUFFER (256L << 10)
#define HTTP_NOT_FOUND 404
#define HTTP_GONE      410

/* Where a transfer's bytes go: a file and its digest, or a buffer. */
struct sink {
    CURL *curl;
    struct image_meter *meter;
    const struct image_download *file; /* NULL for a text */
    EVP_MD_CTX *digest;
    struct pi_buf *text;
    size_t text_max;
    uint64_t received_bytes;
    int r; /* why the sink stopped the transfer, its message in error */
    struct pi_error error;
};

static void curl_free_p(CURL **curl)
{
    curl_easy_cleanup(*curl);
}

int image_space_check(int fd, uint64_t bytes, struct pi_error *err)
{
    struct statvfs fs;
    char need[32], missing[32];
    if (fstatvfs(fd, &fs) < 0)
        return pi_fail(err, errno, "cannot see the free disk space");
    uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (bytes <= free_bytes)
        return 0;
    return pi_refuse(
        err, PI_HOST,
        "the image needs %s of disk space, %s more than is free: make room, or set XDG_CACHE_HOME "
        "to a folder on a larger disk",
        pi_size_format(bytes, need), pi_size_format(bytes - free_bytes, missing));
}

/* Before the first byte: does it have the published size, and is there room for it? */
static int check_announced(struct sink *sink)
{
    curl_off_t length = -1;
    curl_easy_getinfo(sink->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    uint64_t published = sink->file->size_bytes;
    if (length >= 0 && published && (uint64_t)length != published)
        return pi_refuse(
            &sink->error, PI_UNVERIFIED,
            "the server has %llu bytes where %llu are published: try again later, or name another "
            "mirror with PIAGENT_FEDORA_URL",
            (unsigned long long)length, (unsigned long long)published);
    return image_space_check(sink->file->fd, length >= 0 ? (uint64_t)length : published, &sink->error);
}

static int sink_to_file(struct sink *sink, const char *data, size_t size)
{
    int r = sink->received_bytes ? 0 : check_announced(sink);
    if (r < 0)
        return r;
    uint64_t max = sink->file->size_bytes ? sink->file->size_bytes : IMAGE_FILE_MAX;
    if (size > max - sink->received_bytes)
        return pi_refuse(&sink->error, PI_UNVERIFIED,
                         "the server sends more than the %llu bytes of the image", (unsigned long long)max);
    r = pi_write_all(sink->file->fd, data, size);
    if (r == -ENOSPC || r == -EDQUOT)
        return pi_refuse(&sink->error, PI_HOST,
                         "the disk is full: make room, or set XDG_CACHE_HOME to a folder on a larger disk");
    if (r < 0)
        return pi_fail(&sink->error, -r, "cannot write the image");
    EVP_DigestUpdate(sink->digest, data, size);
    return 0;
}

static int sink_to_text(struct sink *sink, const char *data, size_t size)
{
    if (size > sink->text_max - sink->received_bytes)
        return pi_refuse(&sink->error, PI_NETWORK,
                         "the server sends more than the %zu bytes that this may have", sink->text_max);
    int r = pi_buf_add(sink->text, data, size);
    return r < 0 ? pi_fail(&sink->error, -r, "cannot keep it") : 0;
}

static size_t on_bytes(char *data, size_t one, size_t count, void *user)
{
    struct sink *sink = user;
    size_t size = one * count;
    sink->r = sink->file ? sink_to_file(sink, data, size) : sink_to_text(sink, data, size);
    if (sink->r < 0)
        return 0;
    sink->received_bytes += size;
    return size;
}

static int on_progress(void *user, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now)
{
    struct sink *sink = user;
    (void)up_total;
    (void)up_now;
    if (sink->file && now > 0)
        image_meter_step(sink->meter, (uint64_t)now, total > 0 ? (uint64_t)total : sink->file->size_bytes);
    return image_meter_cancelled(sink->meter);
}

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
static void set_certificates(CURL *curl)
{
    const char *bundle = getenv("CURL_CA_BUNDLE");
    if (!bundle || !*bundle)
        bundle = getenv("SSL_CERT_FILE");
    if (bundle && *bundle)
        curl_easy_setopt(curl, CURLOPT_CAINFO, bundle);
}

static void set_options(struct sink *sink, const char *url, char *message)
{
    CURL *curl = sink->curl;
    bool protected = sink->file && sink->file->checksum_known;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "piagent/" PIAGENT_VERSION);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
    curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_OPTIONAL);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, STALL_BYTES_S);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, STALL_S);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, sink->file ? 0L : TEXT_S);
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, RECEIVE_BUFFER);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, message);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, sink);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, sink);
    /* A user who configured an http URL has chosen it; https is never left without a checksum that decides.
     */
    set_protocols(curl, protected || pi_starts_with(url, "http://"));
    set_certificates(curl);
}

static const char *hint(CURLcode code)
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
        return "a redirect from https to http is followed only where a checksum is known";
    default:
        return "try again later, or name a mirror with PIAGENT_FEDORA_URL";
    }
}

static int failed(struct sink *sink, CURLcode code, const char *url, const char *message,
                  struct pi_error *err)
{
    long status = 0;
    curl_easy_getinfo(sink->curl, CURLINFO_RESPONSE_CODE, &status);
    if (sink->r < 0) {
        if (err)
            *err = sink->error;
        return pi_context(err, sink->r, "cannot fetch %s", url);
    }
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return image_meter_give_up(sink->meter, err);
    if (code == CURLE_HTTP_RETURNED_ERROR && (status == HTTP_NOT_FOUND || status == HTTP_GONE))
        return pi_refuse(err, PI_NOT_FOUND,
                         "%s is not there (HTTP %ld): check the URL, or try another release", url, status);
    if (code == CURLE_HTTP_RETURNED_ERROR)
        return pi_refuse(err, PI_NETWORK, "cannot fetch %s: the server answered HTTP %ld: %s", url, status,
                         hint(code));
    char clean[256];
    const char *reason = *message ? message : curl_easy_strerror(code);
    return pi_refuse(err, PI_NETWORK, "cannot fetch %s: %s: %s", url,
                     pi_text_clean(reason, strlen(reason), clean, sizeof clean - 1), hint(code));
}

static int transfer(struct sink *sink, const char *url, struct pi_error *err)
{
    pi_auto(curl_free_p) CURL *curl = curl_easy_init();
    char message[CURL_ERROR_SIZE] = "";
    if (!curl)
        return pi_fail(err, ENOMEM, "cannot fetch %s", url);
    sink->curl = curl;
    set_options(sink, url, message);
    CURLcode code = curl_easy_perform(curl);
    return code == CURLE_OK ? 0 : failed(sink, code, url, message, err);
}

int image_download(const struct image_download *what, struct image_meter *meter,
                   char ret_sha256[IMAGE_SHA256_LENGTH + 1], uint64_t *ret_size_bytes, struct pi_error *err)
{
    pi_auto_digest EVP_MD_CTX *digest = image_digest_new();
    if (!digest)
        return pi_fail(err, ENOMEM, "cannot fetch %s", what->url);
    struct sink sink = {.file = what, .meter = meter, .digest = digest};
    int r = transfer(&sink, what->url, err);
    if (r < 0)
        return r;
    image_digest_hex(digest, ret_sha256);
    *ret_size_bytes = sink.received_bytes;
    return 0;
}

int image_download_text(const char *url, size_t max, struct image_meter *meter, struct pi_buf *ret,
                        struct pi_error *err)
{
    struct sink sink = {.meter = meter, .text = ret, .text_max = max};
    return transfer(&sink, url, err);
}
