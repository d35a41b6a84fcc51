/* SPDX-License-Identifier: MIT */
#include "agent/base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *const pi_kind_names[] = {
    [PI_OK] = "ok",
    [PI_FAILED] = "failed",
    [PI_USAGE] = "usage",
    [PI_NOT_FOUND] = "not-found",
    [PI_CONFLICT] = "conflict",
    [PI_UNVERIFIED] = "unverified",
    [PI_HOST] = "host",
    [PI_NETWORK] = "network",
    [PI_GUEST] = "guest",
    [PI_TIMEOUT] = "timeout",
    [PI_AGENT] = "agent",
    [PI_KINDS] = NULL,
};

static const int errnums[PI_KINDS] = {
    [PI_FAILED] = EIO,         [PI_USAGE] = EINVAL,       [PI_NOT_FOUND] = ENOENT,    [PI_CONFLICT] = EEXIST,
    [PI_UNVERIFIED] = EBADMSG, [PI_HOST] = ENOTSUP,       [PI_NETWORK] = ENETUNREACH, [PI_GUEST] = EPROTO,
    [PI_TIMEOUT] = ETIMEDOUT,  [PI_AGENT] = ECONNREFUSED,
};

int pi_fail(struct pi_error *err, int errnum, const char *format, ...)
{
    if (errnum <= 0)
        errnum = EIO;
    if (err) {
        va_list args;
        va_start(args, format);
        int n = vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
        if (n >= 0 && (size_t)n < sizeof err->text)
            snprintf(err->text + n, sizeof err->text - (size_t)n, ": %s", strerror(errnum));
        err->kind = errnum == ENOSPC || errnum == EDQUOT ? PI_HOST : PI_FAILED;
    }
    return -errnum;
}

int pi_refuse(struct pi_error *err, enum pi_kind kind, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
        err->kind = kind;
    }
    return -errnums[kind];
}

int pi_context(struct pi_error *err, int r, const char *format, ...)
{
    if (err) {
        char context[sizeof err->text];
        char whole[2 * sizeof err->text + 3];
        va_list args;
        va_start(args, format);
        vsnprintf(context, sizeof context, format, args);
        va_end(args);
        snprintf(whole, sizeof whole, "%s: %s", context, err->text);
        memcpy(err->text, whole, sizeof err->text - 1);
        err->text[sizeof err->text - 1] = '\0';
    }
    return r;
}
