/* SPDX-License-Identifier: MIT */
#include "agent/seed/yaml_type.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DIGITS  "0123456789"
#define DIGITS_ "0123456789_"

/* Tells if text is the word, perhaps with a capital or in capitals: "yes", "Yes", "YES", not "yEs". */
static bool is_word(const char *text, const char *word)
{
    if (strcasecmp(text, word) != 0)
        return false;
    size_t capitals = 0, length = strlen(text);
    for (size_t i = 0; i < length; i++)
        capitals += isupper((unsigned char)text[i]) != 0;
    return capitals == 0 || capitals == length || (capitals == 1 && isupper((unsigned char)text[0]));
}

static const char *sign_skip(const char *text)
{
    return text + (*text == '+' || *text == '-');
}

/* Skips groups of base 60 (":22", each below 60). NULL if there is none. */
static const char *base60_skip(const char *text)
{
    const char *at = text;
    while (*at == ':') {
        size_t digits = strspn(at + 1, DIGITS);
        if (!digits || digits > 2 || (digits == 2 && at[1] > '5'))
            return NULL;
        at += 1 + digits;
    }
    return at > text ? at : NULL;
}

static bool is_integer(const char *text)
{
    const char *at = sign_skip(text);
    if (at[0] == '0' && (at[1] == 'b' || at[1] == 'x'))
        return at[2] && !at[2 + strspn(at + 2, at[1] == 'b' ? "01_" : "0123456789abcdefABCDEF_")];
    if (at[0] == '0')
        return !at[1 + strspn(at + 1, "01234567_")];
    if (!isdigit((unsigned char)at[0]))
        return false;
    at += strspn(at, DIGITS_);
    const char *end = *at ? base60_skip(at) : at;
    return end && !*end;
}

static bool is_float(const char *text)
{
    const char *at = sign_skip(text);
    if (*at == '.' && is_word(at + 1, "inf"))
        return true;
    if (text[0] == '.' && is_word(text + 1, "nan"))
        return true;
    if (text[0] == '.' && isdigit((unsigned char)text[1]))
        at = text + 1 + strspn(text + 1, DIGITS_);
    else if (isdigit((unsigned char)*at)) {
        at += strspn(at, DIGITS_);
        const char *end = base60_skip(at);
        bool base60 = end != NULL;
        at = base60 ? end : at;
        if (*at++ != '.')
            return false;
        at += strspn(at, DIGITS_);
        if (base60)
            return !*at;
    } else
        return false;
    if ((*at == 'e' || *at == 'E') && (at[1] == '+' || at[1] == '-') && isdigit((unsigned char)at[2]))
        at += 2 + strspn(at + 2, DIGITS);
    return !*at;
}

/* A date, or a date and a time. */
struct date {
    int year, month, day, hour, minute, second, zone_hour, zone_minute;
};

/* Reads least to most digits into *ret, or returns NULL. */
static const char *number_take(const char *at, size_t least, size_t most, int *ret)
{
    size_t count = at ? strspn(at, DIGITS) : 0;
    if (count < least || count > most)
        return NULL;
    *ret = atoi(at);
    return at + count;
}

static const char *sign_take(const char *at, char sign)
{
    return at && *at == sign ? at + 1 : NULL;
}

static const char *zone_take(const char *at, struct date *date)
{
    at += strspn(at, " \t");
    if (*at == 'Z')
        return at + 1;
    if (*at != '+' && *at != '-')
        return at;
    at = number_take(at + 1, 1, 2, &date->zone_hour);
    return at && *at == ':' ? number_take(at + 1, 2, 2, &date->zone_minute) : at;
}

/* Tells if the text has the form of a date, or of a date and a time. With a time, month and day may have one
 * digit; if strict is false, also without a time. (The implicit resolver is strict.) */
static bool date_read(const char *text, bool strict, struct date *ret)
{
    struct date date = {0};
    const char *at = number_take(text, 4, 4, &date.year);
    at = number_take(sign_take(at, '-'), 1, 2, &date.month);
    at = number_take(sign_take(at, '-'), 1, 2, &date.day);
    if (!at)
        return false;
    if (!*at) {
        *ret = date;
        return !strict || strlen(text) == strlen("2030-01-31");
    }
    size_t blanks = strspn(at, " \t");
    if (!blanks && *at != 'T' && *at != 't')
        return false;
    at = number_take(at + (blanks ? blanks : 1), 1, 2, &date.hour);
    at = number_take(sign_take(at, ':'), 2, 2, &date.minute);
    at = number_take(sign_take(at, ':'), 2, 2, &date.second);
    if (at && *at == '.')
        at += 1 + strspn(at + 1, DIGITS);
    at = at ? zone_take(at, &date) : NULL;
    *ret = date;
    return at && !*at;
}

/* Limits of Python's datetime: years from 1, no leap second, a time zone of less than a day. */
static bool date_exists(const struct date *date)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (date->year % 4 == 0 && date->year % 100 != 0) || date->year % 400 == 0;
    if (date->year < 1 || date->month < 1 || date->month > 12 || date->day < 1)
        return false;
    return date->day <= days[date->month - 1] + (leap && date->month == 2) && date->hour < 24 &&
           date->minute < 60 && date->second < 60 && date->zone_hour * 60 + date->zone_minute < 24 * 60;
}

/* any_case: accepts "yEs" too, as PyYAML's constructor does after a tag. */
static bool is_bool(const char *text, bool any_case)
{
    static const char *const words[] = {"yes", "no", "true", "false", "on", "off"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (any_case ? !strcasecmp(text, words[i]) : is_word(text, words[i]))
            return true;
    return false;
}

enum seed_type seed_scalar_type(const char *text)
{
    struct date date;
    if (!text[0] || !strcmp(text, "~") || is_word(text, "null"))
        return SEED_NULL;
    if (is_bool(text, false))
        return SEED_BOOL;
    if (is_float(text))
        return SEED_FLOAT;
    if (is_integer(text))
        return SEED_INTEGER;
    return date_read(text, true, &date) ? SEED_DATE : SEED_TEXT;
}

/* At least one digit must follow the sign and the base. */
static bool integer_converts(const char *plain)
{
    const char *at = sign_skip(plain), *set = DIGITS;
    if (at[0] == '0' && at[1]) {
        set = at[1] == 'b' ? "01" : at[1] == 'x' ? "0123456789abcdefABCDEF" : "01234567";
        at += strchr("bxo", at[1]) ? 2 : 1;
    }
    size_t count = strspn(at, set);
    for (at += count; count && *at == ':'; at += count)
        count = strspn(++at, DIGITS);
    return count && !*at;
}

/* Each group of base 60 must be a number. */
static bool float_converts(char *plain)
{
    char *rest = (char *)sign_skip(plain);
    if (!strcasecmp(rest, ".inf") || !strcasecmp(rest, ".nan"))
        return true;
    for (char *part; (part = strsep(&rest, ":"));) {
        char *end;
        strtod(part, &end);
        if (end == part || *end || strpbrk(part, "xXpP"))
            return false;
    }
    return true;
}

bool seed_scalar_converts(enum seed_type type, const char *text)
{
    struct date date;
    char plain[8192]; /* Python itself refuses numbers with more than 4300 digits */
    size_t length = 0;
    if (type == SEED_BOOL)
        return is_bool(text, true);
    if (type == SEED_DATE)
        return date_read(text, false, &date) && date_exists(&date);
    if (!(type & SEED_NUMBER))
        return true;
    for (const char *at = text; *at && length + 1 < sizeof plain; at++)
        if (*at != '_')
            plain[length++] = *at;
    plain[length] = '\0';
    if (length + 1 == sizeof plain)
        return false;
    return type == SEED_INTEGER ? integer_converts(plain) : float_converts(plain);
}

bool seed_scalar_base60(const char *text, double *ret)
{
    enum seed_type type = seed_scalar_type(text);
    if (!(type & SEED_NUMBER) || !strchr(text, ':'))
        return false;
    double value = 0;
    for (const char *at = sign_skip(text); *at; at += *at == ':') {
        char *end;
        value = value * 60 + strtod(at, &end);
        at = end + strspn(end, "_");
        if (*at && *at != ':')
            return false;
    }
    *ret = text[0] == '-' ? -value : value;
    return true;
}

bool seed_scalar_is_base64(const char *text)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t digits = 0, padding = 0;
    for (; *text; text++) {
        if ((unsigned char)*text > 127)
            return false;
        if (*text == '=' && digits % 4 >= 2 && ++padding + digits % 4 >= 4)
            return true;
        if (*text != '=' && strchr(alphabet, *text)) {
            digits++;
            padding = 0;
        }
    }
    return digits % 4 == 0;
}
