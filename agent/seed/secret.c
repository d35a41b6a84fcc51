/* SPDX-License-Identifier: MIT */
#include "agent/seed/secret.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "agent/base/auto.h"

/* Words that occur in those keys of cloud-init's modules whose values are secrets. */
static const char *const words[] = {"passw",      "passphrase",  "pwd",          "secret",       "token",
                                    "private",    "credential",  "activation",   "registration", "psk",
                                    "validation", "random_seed", "presharedkey", "api_key",      "apikey"};

static bool contains_word(const char *text, size_t length, const char *word)
{
    size_t size = strlen(word);
    for (size_t i = 0; i + size <= length; i++)
        if (strncasecmp(text + i, word, size) == 0)
            return true;
    return false;
}

/* "https://user:password@host" */
static bool has_url_login(const char *text, size_t length)
{
    const char *end = text + length, *at = memmem(text, length, "://", 3);
    for (; at; at = memmem(at + 3, (size_t)(end - at - 3), "://", 3))
        for (const char *c = at + 3; c < end && !strchr("/ \t\"'", *c); c++)
            if (*c == '@')
                return true;
    return false;
}

bool seed_secret_named(const char *text, size_t length)
{
    for (size_t i = 0; i < PI_ARRAY_SIZE(words); i++)
        if (contains_word(text, length, words[i]))
            return true;
    return has_url_login(text, length);
}

/* A list's item belongs to a line with the same indentation and no '-'. An empty line belongs to any line. */
static size_t indentation(const char *line, size_t length)
{
    size_t blanks = 0;
    while (blanks < length && (line[blanks] == ' ' || line[blanks] == '\t'))
        blanks++;
    return blanks == length ? SIZE_MAX : 2 * blanks + (line[blanks] == '-');
}

static const char *start_of_line(const char *data, const char *at)
{
    while (at > data && at[-1] != '\n')
        at--;
    return at;
}

/* Tells if a line above, to which this one belongs, names a secret. */
static bool below_secret(const char *data, const char *line, size_t length)
{
    size_t depth = indentation(line, length);
    while (line > data && depth) {
        const char *above = start_of_line(data, line - 1);
        size_t size = (size_t)(line - 1 - above), its = indentation(above, size);
        if (its < depth) {
            if (seed_secret_named(above, size))
                return true;
            depth = its;
        }
        line = above;
    }
    return false;
}

size_t seed_secret_shown(const char *data, size_t size, size_t line)
{
    const char *at = data, *end = data + size;
    for (; line > 1 && at < end; line--) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        at = newline ? newline + 1 : end;
    }
    const char *newline = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
    size_t length = (size_t)((newline ? newline : end) - at);
    bool named = seed_secret_named(at, length);
    if (!named && !below_secret(data, at, length))
        return length;
    size_t key = 0;
    while (key < length && strchr(" \t-[{\"'", at[key]))
        key++;
    while (key < length && (isalnum((unsigned char)at[key]) || strchr("_.-\"'", at[key])))
        key++;
    return named && key < length && at[key] == ':' ? key + 1 : 0;
}
