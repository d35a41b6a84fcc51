/* SPDX-License-Identifier: MIT */
#include "agent/base/text.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/base/auto.h"

int pi_name_check(const char *name, struct pi_error *err)
{
    size_t length = strlen(name);
    bool good = length >= 1 && length <= PI_NAME_MAX && name[0] != '-' && name[length - 1] != '-';
    for (size_t i = 0; good && i < length; i++)
        good = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9') || name[i] == '-';
    if (good)
        return 0;
    char shown[96];
    const char *login = strchr(name, '@');
    if (login && pi_name_check(login + 1, NULL) == 0)
        return pi_refuse(
            err, PI_USAGE,
            "'%s' is not a name: say %s alone; the instance's login was chosen when it was made (run --user)",
            pi_text_clean(name, length, shown, sizeof shown), login + 1);
    return pi_refuse(err, PI_USAGE,
                     "'%s' is not a usable name: write 1 to %d of a-z, 0-9 and '-', "
                     "without '-' at either end",
                     pi_text_clean(name, length, shown, sizeof shown), PI_NAME_MAX);
}

/* digits [ '.' digits ]. strtod() would also accept signs, exponents, hex and "inf". */
static const char *scan_decimal(const char *s, double *ret)
{
    const char *start = s;
    double value = 0, scale = 1;
    for (; isdigit((unsigned char)*s); s++)
        value = value * 10 + (*s - '0');
    if (s == start)
        return NULL;
    if (*s == '.') {
        if (!isdigit((unsigned char)s[1]))
            return NULL;
        for (s++; isdigit((unsigned char)*s); s++)
            value += (*s - '0') * (scale /= 10);
    }
    *ret = value;
    return s;
}

int pi_size_parse(const char *text, uint64_t *ret_bytes, struct pi_error *err)
{
    static const char units[] = "KMGTP";
    double value;
    const char *s = scan_decimal(text, &value);
    if (s && s[0] == ' ' && s[1])
        s++;
    if (s && *s) {
        const char *unit = strchr(units, toupper((unsigned char)*s));
        if (unit) {
            value = ldexp(value, 10 * (int)(unit - units + 1));
            s++;
            if (*s == 'i' || *s == 'I')
                s++;
        }
        if (*s == 'B' || *s == 'b')
            s++;
    }
    if (!s || *s || value >= ldexp(1, 60))
        return pi_refuse(err, PI_USAGE, "'%.32s' is not a size: write it as 512M, 1G or 1.5G", text);
    *ret_bytes = (uint64_t)value;
    return 0;
}

static uint64_t duration_unit(const char **s)
{
    static const struct {
        const char *names[6];
        uint64_t ms;
    } units[] = {
        {{"ms", "msec", "msecs", "millisecond", "milliseconds"}, 1},
        {{"s", "sec", "secs", "second", "seconds"}, 1000},
        {{"m", "min", "mins", "minute", "minutes"}, 60000},
        {{"h", "hr", "hrs", "hour", "hours"}, 3600000},
        {{"d", "day", "days"}, 86400000},
        {{"w", "week", "weeks"}, 604800000},
    };
    if (**s == ' ')
        ++*s;
    size_t length = 0;
    while (isalpha((unsigned char)(*s)[length]))
        length++;
    for (size_t i = 0; i < PI_ARRAY_SIZE(units); i++) {
        for (const char *const *name = units[i].names; *name; name++) {
            if (strlen(*name) == length && !strncasecmp(*s, *name, length)) {
                *s += length;
                return units[i].ms;
            }
        }
    }
    return 0;
}

int pi_duration_parse(const char *text, uint64_t *ret_ms, struct pi_error *err)
{
    double total = 0, value;
    const char *s = text;
    bool good = *s != '\0', first = true;
    while (good && *s) {
        s = scan_decimal(s, &value);
        if (!s)
            break;
        uint64_t unit = first && !*s ? 1000 : duration_unit(&s);
        first = false;
        good = unit != 0;
        if (s[0] == ' ' && s[1])
            s++;
        total += value * (double)unit;
    }
    if (!good || !s || total > 1e12)
        return pi_refuse(err, PI_USAGE, "'%.32s' is not a duration: write it as 90s, 2m, 1h30m or 2d", text);
    *ret_ms = (uint64_t)(total + 0.5);
    return 0;
}

int pi_number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *ret, struct pi_error *err)
{
    uint64_t value = 0;
    const char *s = text;
    for (; isdigit((unsigned char)*s); s++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*s - '0'), &value))
            break;
    if (s == text || *s || value < min || value > max)
        return pi_refuse(err, PI_USAGE, "'%.32s' is not a whole number from %" PRIu64 " to %" PRIu64, text,
                         min, max);
    *ret = value;
    return 0;
}

char *pi_size_format(uint64_t bytes, char buf[32])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1023.5 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024;
        unit++;
    }
    uint64_t tenths = value < 99.95 ? (uint64_t)(value * 10 + 0.5) : (uint64_t)(value + 0.5) * 10;
    if (tenths % 10)
        snprintf(buf, 32, "%" PRIu64 ".%" PRIu64 " %s", tenths / 10, tenths % 10, units[unit]);
    else
        snprintf(buf, 32, "%" PRIu64 " %s", tenths / 10, units[unit]);
    return buf;
}

char *pi_duration_format(uint64_t ms, char buf[32])
{
    uint64_t s = ms / 1000;
    if (s < 60)
        snprintf(buf, 32, "%" PRIu64 ".%" PRIu64 "s", s, ms % 1000 / 100);
    else if (s < 3600)
        snprintf(buf, 32, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(buf, 32, "%" PRIu64 "h%02" PRIu64 "m", s / 3600, s / 60 % 60);
    else
        snprintf(buf, 32, "%" PRIu64 "d%02" PRIu64 "h", s / 86400, s / 3600 % 24);
    return buf;
}

size_t pi_utf8_length(const char *text, size_t left)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t n = s[0] < 0x80                   ? 1
               : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
               : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
               : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                             : 0;
    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool overlong_or_surrogate = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0) ||
                                 (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90);
    return overlong_or_surrogate ? 0 : n;
}

bool pi_char_shows(uint32_t code_point)
{
    static const uint32_t hidden[][2] = {
        {0x00, 0x1f},     {0x7f, 0x9f},     {0x61c, 0x61c},   {0x200e, 0x200f},   {0x2028, 0x202e},
        {0x2066, 0x2069}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f},
    };
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++)
        if (code_point >= hidden[i][0] && code_point <= hidden[i][1])
            return false;
    return true;
}

/* n is the length that pi_utf8_length() gave. */
static uint32_t decode_character(const unsigned char *s, size_t n)
{
    uint32_t code_point = n == 1 ? s[0] : s[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++)
        code_point = code_point << 6 | (s[i] & 0x3f);
    return code_point;
}

bool pi_text_shows(const char *text, size_t length)
{
    for (size_t i = 0, n; i < length; i += n)
        if (!(n = pi_utf8_length(text + i, length - i)) ||
            !pi_char_shows(decode_character((const unsigned char *)text + i, n)))
            return false;
    return true;
}

char *pi_text_clean(const char *text, size_t length, char *buf, size_t max)
{
    size_t used = 0;
    bool space = true; /* leading white space goes */
    for (size_t i = 0; i < length;) {
        size_t n = pi_utf8_length(text + i, length - i);
        const unsigned char *s = (const unsigned char *)text + i;
        bool white = n == 1 && (*s == ' ' || (*s >= '\t' && *s <= '\r'));
        bool control = n == 0 || !pi_char_shows(decode_character(s, n));
        size_t out = white || control ? 1 : n;
        if (used + out + 1 > max)
            break;
        if (white) {
            if (!space)
                buf[used++] = ' ';
        } else if (control) {
            buf[used++] = '?';
        } else {
            memcpy(buf + used, s, n);
            used += n;
        }
        space = white;
        i += n ? n : 1;
    }
    while (used && buf[used - 1] == ' ')
        used--;
    buf[used] = '\0';
    return buf;
}

bool pi_is_utf8(const char *text)
{
    for (size_t n, left = strlen(text); left; text += n, left -= n)
        if (!(n = pi_utf8_length(text, left)))
            return false;
    return true;
}

bool pi_starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool pi_ends_with(const char *text, const char *suffix)
{
    size_t length = strlen(text), tail = strlen(suffix);
    return length >= tail && !strcmp(text + length - tail, suffix);
}

bool pi_is_hex(const char *text, size_t count)
{
    size_t i = 0;
    while (isxdigit((unsigned char)text[i]))
        i++;
    return i == count && text[i] == '\0';
}

char *pi_shell_quote(const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-";
    size_t length = strlen(word);
    if (length && strspn(word, plain) == length)
        return strdup(word);
    char *quoted = malloc(4 * length + 3), *out = quoted;
    if (!quoted)
        return NULL;
    *out++ = '\'';
    for (const char *s = word; *s; s++) {
        if (*s == '\'')
            out = stpcpy(out, "'\\''");
        else
            *out++ = *s;
    }
    *out++ = '\'';
    *out = '\0';
    return quoted;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment: Levenshtein's distance, but two neighbours that changed places are one edit. It
 * keeps three rows. A word that is longer than a row is SIZE_MAX away. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][65], lb = strlen(b), i = 1;
    if (lb >= PI_ARRAY_SIZE(rows[0]))
        return SIZE_MAX;
    for (size_t j = 0; j <= lb; j++)
        rows[0][j] = j;
    for (; a[i - 1]; i++) {
        size_t *row = rows[i % 3], *last = rows[(i - 1) % 3], *before = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            row[j] = least(last[j - 1] + (a[i - 1] != b[j - 1]), least(last[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
    }
    return rows[(i - 1) % 3][lb];
}

const char *pi_nearest(const char *word, const char *const *candidates)
{
    size_t limit = strlen(word) / 3 > 2 ? strlen(word) / 3 : 2;
    const char *nearest = NULL;
    for (; *candidates; candidates++) {
        size_t d = edit_distance(word, *candidates);
        if (d <= limit && d < strlen(word)) {
            nearest = *candidates;
            limit = d ? d - 1 : 0;
            if (!d)
                break;
        }
    }
    return nearest;
}

const char *pi_suggest(const char *word, const char *const *candidates, const char *otherwise,
                       char buf[PI_SUGGESTION_SIZE])
{
    const char *nearest = pi_nearest(word, candidates);
    if (!nearest || !strcmp(nearest, word))
        return otherwise;
    snprintf(buf, PI_SUGGESTION_SIZE, "did you mean %s?", nearest);
    return buf;
}

uint64_t pi_hash(const char *bytes, size_t size)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3;
    return hash;
}
