/* SPDX-License-Identifier: MIT */
#include "agent/image/ref.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "agent/base/text.h"

#define UNDERSTOOD \
    "write fedora, fedora:44, an https:// URL, or the path of a local file (./disk.qcow2, disk.raw, disk.img)"

bool image_is_url(const char *text)
{
    const char *host = pi_starts_with(text, "https://")  ? text + 8
                       : pi_starts_with(text, "http://") ? text + 7
                                                         : NULL;
    if (!host || strlen(text) >= IMAGE_URL_MAX)
        return false;
    for (const char *p = host; *p; p++)
        if (*p <= ' ' || *p > '~')
            return false;
    size_t host_length = strcspn(host, "/?#");
    return host_length > 0 && !memchr(host, '@', host_length);
}

const char *image_base_name(const char *url, int *ret_length)
{
    const char *end = url + (image_is_url(url) ? strcspn(url, "?#") : strlen(url));
    const char *base = end;
    while (base > url && base[-1] != '/')
        base--;
    *ret_length = (int)(end - base);
    return base;
}

/* "44" or "45-beta", "45_Beta", "45 Beta". */
static int parse_release(const char *text, struct image_ref *ret, struct pi_error *err)
{
    size_t digits = strspn(text, "0123456789");
    const char *rest = text + digits;
    bool beta = strchr("-_ ", *rest) && *rest && !strcasecmp(rest + 1, "beta");
    if (digits < 1 || digits > 3 || text[0] == '0' || (*rest && !beta))
        return pi_refuse(err, PI_USAGE, "'fedora:%.32s' does not name a release: " UNDERSTOOD, text);
    snprintf(ret->release, sizeof ret->release, "%.*s%s", (int)digits, text, beta ? " Beta" : "");
    return 0;
}

static bool is_path(const char *text)
{
    return strchr(text, '/') || pi_ends_with(text, ".qcow2") || pi_ends_with(text, ".raw") ||
           pi_ends_with(text, ".img") || access(text, F_OK) == 0;
}

int image_ref_parse(const char *text, struct image_ref *ret, struct pi_error *err)
{
    struct image_ref ref = {.kind = IMAGE_REF_FEDORA, .text = text};
    if (pi_starts_with(text, "fedora:")) {
        int r = parse_release(text + strlen("fedora:"), &ref, err);
        if (r < 0)
            return r;
    } else if (image_is_url(text)) {
        ref.kind = IMAGE_REF_URL;
    } else if (strstr(text, "://") && !pi_starts_with(text, "http")) {
        return pi_refuse(err, PI_USAGE, "'%.200s' is neither an https nor an http URL: " UNDERSTOOD, text);
    } else if (strstr(text, "://")) {
        return pi_refuse(err, PI_USAGE,
                         "the URL '%.200s' cannot be used (put a password into ~/.netrc): " UNDERSTOOD, text);
    } else if (strcmp(text, "fedora") != 0) {
        if (!is_path(text))
            return pi_refuse(err, PI_USAGE, "no image is called '%.200s': " UNDERSTOOD, text);
        ref.kind = IMAGE_REF_FILE;
    }
    *ret = ref;
    return 0;
}
