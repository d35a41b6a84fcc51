/* SPDX-License-Identifier: MIT */
#include "agent/seed/host_words.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"

/* A problem of jsonschema begins with the value. One of these follows. */
static const char *const predicates[] = {
    " is not of type ",      " is not one of ",          " is not valid under any ",
    " is valid under each ", " does not match ",         " is too short",
    " is too long",          " has non-unique elements", " is less than ",
    " is greater than ",     " is a required property",  " does not have enough ",
    " has too many ",        " should be non-empty",
};

/* Finds the last predicate in the text, because a value may hold one too. */
static const char *predicate_find(const char *text, const char *end)
{
    const char *found = NULL;
    for (size_t i = 0; i < PI_ARRAY_SIZE(predicates); i++)
        for (const char *at = text;
             (at = memmem(at, (size_t)(end - at), predicates[i], strlen(predicates[i]))); at++)
            found = !found || at > found ? at : found;
    return found;
}

/* Words for "[] is too short", which says little about an empty list. NULL for any other problem. */
static const char *empty_find(const char *text, const char *predicate)
{
    static const char *const values[][2] = {
        {"[] ", "an empty list"}, {"{} ", "an empty mapping"}, {"'' ", "an empty text"}};
    static const char *const wanted[] = {" is too short", " should be non-empty", " does not have enough "};
    for (size_t i = 0; i < PI_ARRAY_SIZE(values); i++)
        for (size_t k = 0; predicate == text + 2 && k < PI_ARRAY_SIZE(wanted); k++)
            if (pi_starts_with(text, values[i][0]) && pi_starts_with(predicate, wanted[k]))
                return values[i][1];
    return NULL;
}

void seed_host_problem(const char *text, size_t length, char *ret, size_t size)
{
    static const char unknown[] = "Additional properties are not allowed";
    const char *end = text + length, *found = predicate_find(text, end);
    if (length >= sizeof unknown - 1 && !strncmp(text, unknown, sizeof unknown - 1))
        snprintf(ret, size, "%s", unknown);
    else if (found && pi_starts_with(found, " is a required property")) /* the key is the schema's */
        snprintf(ret, size, "%.*s", (int)length, text);
    else if (found && empty_find(text, found))
        snprintf(ret, size, "%s", empty_find(text, found));
    else if (found)
        snprintf(ret, size, "it%.*s", (int)(end - found), found);
    else
        snprintf(ret, size, "it is not valid");
}

void seed_host_quotes_remove(char *text)
{
    char *to = text;
    for (const char *at = text; *at;) {
        const char *close = *at == '\'' ? strchr(at + 1, '\'') : NULL;
        if (close && close - at > 4 && at[1] != '<') {
            to = stpcpy(to, "'...'");
            at = close + 1;
        } else
            *to++ = *at++;
    }
    *to = '\0';
}
