/* SPDX-License-Identifier: MIT */
#include "agent/base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int errnum;
} kinds[PI_KINDS] = {
    [PI_OK] = {"ok", 0},
    [PI_FAILED] = {"failed", EIO},
    [PI_USAGE] = {"usage", EINVAL},
    [PI_NOT_FOUND] = {"not-found", ENOENT},
    [PI_CONFLICT] = {"conflict", EEXIST},
    [PI_UNVERIFIED] = {"unverified", EBADMSG},
    [PI_HOST] = {"host", ENOTSUP},
    [PI_NETWORK] = {"network", ENETUNREACH},
    [PI_GUEST] = {"guest", EPROTO},
    [PI_TIMEOUT] = {"timeout", ETIMEDOUT},
    [PI_AGENT] = {"agent", ECONNREFUSED},
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
    return -kinds[kind].errnum;
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

const char *pi_kind_name(enum pi_kind kind)
{
    return kind < PI_KINDS ? kinds[kind].name : "failed";
}

enum pi_kind pi_kind_from_name(const char *name)
{
    for (int i = PI_FAILED; name && i < PI_KINDS; i++)
        if (!strcmp(kinds[i].name, name))
            return (enum pi_kind)i;
    return PI_FAILED;
}
