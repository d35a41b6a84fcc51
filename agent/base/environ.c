/* SPDX-License-Identifier: MIT */
#include "agent/base/environ.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"

#define PASS "PIAGENT_PASS_ENVIRONMENT"

bool pi_environ_is_named(const char *setting, const char *const *names)
{
    size_t length = strcspn(setting, "=");
    for (; *names; names++) {
        size_t size = strlen(*names);
        bool is_prefix = (*names)[size - 1] == '*';
        if (is_prefix ? length >= size - 1 && !strncmp(setting, *names, size - 1)
                      : length == size && !strncmp(setting, *names, size))
            return true;
    }
    return false;
}

/* True if the user asked for it by name. */
static bool is_passed(const char *setting)
{
    size_t length = strcspn(setting, "="), size;
    const char *list = getenv(PASS);
    for (; list && *list; list += size) {
        list += strspn(list, " ,");
        size = strcspn(list, " ,");
        if (size && size == length && !strncmp(setting, list, size))
            return true;
    }
    return false;
}

bool pi_environ_is_common(const char *setting)
{
    static const char *const names[] = {"PATH",
                                        "LD_LIBRARY_PATH",
                                        "HOME",
                                        "USER",
                                        "LOGNAME",
                                        "TMPDIR",
                                        "XDG_DATA_HOME",
                                        "XDG_CACHE_HOME",
                                        "XDG_CONFIG_HOME",
                                        "XDG_RUNTIME_DIR",
                                        "LANG",
                                        "LANGUAGE",
                                        "LC_*",
                                        "TZ",
                                        PASS,
                                        NULL};
    return pi_environ_is_named(setting, names) || is_passed(setting);
}

/* Each name is passed once: if it is set twice, getenv() finds the first setting, but a shell the last. */
static bool has_name_of(const struct pi_strv *settings, const char *setting)
{
    size_t name = strcspn(setting, "=") + 1;
    for (size_t i = 0; i < settings->count; i++)
        if (!strncmp(settings->items[i], setting, name))
            return true;
    return false;
}

int pi_environ_add(bool (*passes)(const char *setting), struct pi_strv *ret)
{
    int r = 0;
    for (char **setting = environ; r == 0 && *setting; setting++)
        if (passes(*setting) && !has_name_of(ret, *setting))
            r = pi_strv_add(ret, *setting);
    return r;
}
