/* SPDX-License-Identifier: MIT */
/*
 * Skips a test that cannot run here. If PIAGENT_NO_SKIPS is set, as in CI, that is a failure, unless the
 * reason begins with "cannot here:", which means that installing something would not help. tests/conftest.py
 * has the same rule.
 */
#ifndef TESTS_UNIT_SKIP_H
#define TESTS_UNIT_SKIP_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define skip_because(...) skip_at(__FILE__, __LINE__, __VA_ARGS__)

static inline __attribute__((format(printf, 3, 4))) void skip_at(const char *file, int line,
                                                                 const char *format, ...)
{
    char reason[512];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    print_message("skipped: %s\n", reason);
    if (getenv("PIAGENT_NO_SKIPS") && strncmp(reason, "cannot here:", 12) != 0)
        _fail(file, line);
    _skip(file, line);
}

#endif
