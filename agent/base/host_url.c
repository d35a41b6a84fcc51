/* SPDX-License-Identifier: MIT */
#include "agent/base/host_url.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/text.h"

#define SCHEME "ssh://"

const char *const pi_host_ssh_options[] = {"-oControlMaster=no",
                                           "-oClearAllForwardings=yes",
                                           "-oForwardAgent=no",
                                           "-oForwardX11=no",
                                           "-oPermitLocalCommand=no",
                                           "-oRemoteCommand=none",
                                           "-oTunnel=no",
                                           "-oStreamLocalBindMask=0177",
                                           "-oStreamLocalBindUnlink=yes",
                                           "-oServerAliveInterval=5",
                                           "-oServerAliveCountMax=3",
                                           "-oConnectTimeout=15",
                                           NULL};

/* Characters of a user or a host, which does not begin with '-': ssh would take it for an option. */
static bool is_url_part(const char *text, size_t length, const char *others)
{
    if (!length || *text == '-')
        return false;
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr(others, text[i]))
            return false;
    return true;
}

/* HOST[:PORT] or [IPV6][:PORT]. */
static bool is_url_address(const char *text)
{
    uint64_t port;
    bool bracket = *text == '[';
    size_t length = bracket ? strcspn(++text, "]") : strcspn(text, ":");
    const char *rest = text + length;
    if (!is_url_part(text, length, bracket ? ":." : "._-") || (bracket && *rest++ != ']'))
        return false;
    return !*rest || (*rest == ':' && pi_number_parse(rest + 1, 1, 65535, &port, NULL) == 0);
}

static bool is_host_url(const char *url)
{
    const char *user = pi_starts_with(url, SCHEME) ? url + strlen(SCHEME) : "", *at = strchr(user, '@');
    return is_url_address(at ? at + 1 : user) && strlen(url) < PI_HOST_URL_SIZE &&
           (!at || is_url_part(user, (size_t)(at - user), "._+-"));
}

int pi_host_url_check(const char *url, struct pi_error *err)
{
    char meant[PI_HOST_URL_SIZE + sizeof SCHEME];
    snprintf(meant, sizeof meant, SCHEME "%.*s", PI_HOST_URL_SIZE, url);
    if (is_host_url(url))
        return 0;
    if (is_host_url(meant))
        return pi_refuse(err, PI_USAGE, "'%.80s' is not a host: did you mean %.80s?", url, meant);
    return pi_refuse(err, PI_USAGE,
                     "'%.80s' is not a host: write ssh://[USER@]HOST[:PORT], without a password or a path",
                     url);
}
