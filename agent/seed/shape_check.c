/* SPDX-License-Identifier: MIT */
#include "agent/seed/shape_check.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"
#include "agent/seed/ssh_key.h"

static const struct {
    enum seed_type type;
    const char *name;
} names[] = {{SEED_BOOL, "true or false"}, {SEED_NUMBER, "a number"}, {SEED_TEXT, "text"},
             {SEED_LIST, "a list"},        {SEED_MAP, "a mapping"},   {SEED_NULL, "nothing"},
             {SEED_DATE, "a date"}};

static const char *name_of(enum seed_type type)
{
    for (size_t i = 0; i < PI_ARRAY_SIZE(names); i++)
        if (names[i].type == type)
            return names[i].name;
    return "a value";
}

/* "text or a list"; no shape is for dates alone. */
static const char *wanted(unsigned types, char *buf, size_t size)
{
    size_t used = 0;
    buf[0] = '\0';
    for (size_t i = 0; i < PI_ARRAY_SIZE(names) && used < size; i++)
        if (types & names[i].type & ~(unsigned)(SEED_NULL | SEED_DATE))
            used += (size_t)snprintf(buf + used, size - used, "%s%s", used ? " or " : "", names[i].name);
    return buf;
}

static void add(struct seed_findings *findings, enum seed_severity severity, const struct seed_value *value,
                const char *remedy, const char *message)
{
    seed_findings_addf(findings, severity, value->line, value->column, value->path, remedy, "%s", message);
}

static const char *type_remedy(const struct seed_shape *shape, const struct seed_value *value)
{
    if (shape->look == SEED_LOOK_MODE)
        return "write it in quotes, as '0644': YAML reads a bare number in its own way";
    if (value->type == SEED_MAP && pi_ends_with(shape->path, "[]") && shape->types & SEED_TEXT)
        return "a ': ' in the line makes it a mapping: put the whole line in quotes";
    if (value->type == SEED_NULL)
        return "remove the key, or give it a value";
    if (value->type & (SEED_BOOL | SEED_NUMBER | SEED_DATE) && shape->types & SEED_TEXT)
        return "put it in quotes";
    if (value->type == SEED_TEXT && shape->types & SEED_BOOL)
        return seed_scalar_type(value->text, value->length) == SEED_BOOL ? "write it without quotes"
                                                                         : "write true or false";
    if (value->type & SEED_SCALARS && shape->types & SEED_LIST)
        return "write each item on a line of its own, after '- '";
    if (value->type & SEED_SCALARS && shape->types & SEED_MAP)
        return "write 'key: value' lines below it, indented";
    if (value->type == SEED_LIST && shape->types & SEED_MAP)
        return "write 'key: value' lines without '- '";
    return NULL;
}

static void type_check(const struct seed_shape *shape, const struct seed_value *value,
                       struct seed_findings *findings)
{
    bool structure = value->type > SEED_SCALARS || !(shape->types & SEED_SCALARS);
    char want[96], message[192];
    snprintf(message, sizeof message, "%s where cloud-init wants %s", name_of(value->type),
             wanted(shape->types, want, sizeof want));
    add(findings, structure && value->type != SEED_NULL ? SEED_ERROR : SEED_WARNING, value,
        type_remedy(shape, value), message);
}

/* words are separated by single spaces, and few. */
static void word_check(const struct seed_shape *shape, const struct seed_value *value,
                       struct seed_findings *findings)
{
    char words[128], shown[48], remedy[192], *rest = words;
    const char *list[16] = {0};
    snprintf(words, sizeof words, "%s", shape->words);
    for (size_t i = 0; i + 1 < PI_ARRAY_SIZE(list) && (list[i] = strsep(&rest, " ")); i++)
        if (strlen(list[i]) == value->length && strncmp(list[i], value->text, value->length) == 0)
            return;
    pi_text_clean(value->text, value->length, shown, sizeof shown);
    const char *nearest = pi_nearest(shown, list);
    if (nearest)
        snprintf(remedy, sizeof remedy, "did you mean %s?", nearest);
    else
        snprintf(remedy, sizeof remedy, "it is one of %s", shape->words);
    seed_findings_addf(findings, SEED_WARNING, value->line, value->column, value->path, remedy,
                       "'%s' is not known", shown);
}

/* A crypt(5) hash starts with '$' or, of DES, has 13 characters; '!' and '*' lock the account. The text
 * itself is never shown: it may be the password. */
static void hash_check(const struct seed_value *value, struct seed_findings *findings)
{
    bool hash = value->length == 0 || strchr("$!*", value->text[0]) || value->length == 13;
    if (!hash)
        add(findings, SEED_WARNING, value,
            "piagent hash-password makes one; a password in clear goes under plain_text_passwd",
            "not a password's hash, so that nobody can log in with it");
}

/* Options may stand before a key: then it is not looked at. */
static void ssh_key_check(const struct seed_value *value, struct seed_findings *findings)
{
    static const char *const starts[] = {"ssh-", "ecdsa-", "sk-", "-----BEGIN"};
    char line[SEED_SSH_KEY_MAX + 2];
    struct pi_error why;
    size_t length = value->length;
    while (length && strchr(" \n\t", value->text[length - 1]))
        length--;
    bool looks = length < sizeof line && !memchr(value->text, ' ', length);
    for (size_t i = 0; i < PI_ARRAY_SIZE(starts); i++)
        looks = looks || pi_starts_with(value->text, starts[i]);
    if (!looks)
        return;
    snprintf(line, sizeof line, "%.*s", (int)length, value->text);
    if (seed_ssh_key_check(line, &why) < 0)
        add(findings, SEED_WARNING, value, "give the line of a .pub file", why.text);
}

/* "0o644" is text to YAML 1.1, and Python reads it as it reads "0644". */
static void mode_check(const struct seed_value *value, struct seed_findings *findings)
{
    size_t prefix = pi_starts_with(value->text, "0o") ? 2 : 0;
    size_t octal = strspn(value->text + prefix, "01234567");
    if (prefix + octal != value->length || octal < 3 || octal > 5)
        add(findings, SEED_WARNING, value, "write three or four octal digits in quotes, as '0644'",
            "not a file's mode");
}

void seed_shape_check(const struct seed_shape *shape, const struct seed_value *value,
                      struct seed_findings *findings)
{
    char instead[64];
    if (shape->instead) {
        snprintf(instead, sizeof instead, "write %s", shape->instead);
        add(findings, SEED_WARNING, value, instead, "deprecated");
    }
    if (!(shape->types & value->type)) {
        type_check(shape, value, findings);
        return;
    }
    if (value->type != SEED_TEXT)
        return;
    if (shape->words)
        word_check(shape, value, findings);
    else if (shape->look == SEED_LOOK_HASH)
        hash_check(value, findings);
    else if (shape->look == SEED_LOOK_SSH_KEY)
        ssh_key_check(value, findings);
    else if (shape->look == SEED_LOOK_MODE)
        mode_check(value, findings);
}
