/* SPDX-License-Identifier: MIT */
#include "agent/base/fields.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/fs.h"

static bool belongs(const struct pi_field *f, const struct pi_field *outer)
{
    return !outer || !outer->parts || (f->parts & outer->parts);
}

bool pi_fields_next(struct pi_field_walk *walk)
{
    const struct pi_field *f = walk->next;
    for (;;) {
        if (!f->key && !walk->outer)
            return false;
        if (!f->key) {
            f = walk->outer + 1;
            walk->outer = NULL;
            walk->base = 0;
        } else if (f->type == PI_FIELD_INLINE) {
            walk->outer = f;
            walk->base = f->offset;
            f = f->nested;
        } else if (belongs(f, walk->outer)) {
            break;
        } else {
            f++;
        }
    }
    walk->field = f;
    walk->required = f->required && (!walk->outer || walk->outer->required);
    walk->zero_is_none = f->zero_is_none || (walk->outer && walk->outer->zero_is_none);
    walk->next = f + 1;
    return true;
}

static int refuse_value(const struct pi_field *f, struct pi_error *err, const char *wanted)
{
    return pi_refuse(err, PI_USAGE, "'%s' is not %s", f->key, wanted);
}

/* NULL if it is not a string, or has a NUL in it, at which C would end it. */
static const char *text_of(const json_t *value)
{
    const char *text = json_string_value(value);
    return text && strlen(text) == json_string_length(value) ? text : NULL;
}

static int replace_string(const struct pi_field *f, const char *text, char **ret, struct pi_error *err)
{
    char *copy = text ? strdup(text) : NULL;
    if (text && !copy)
        return pi_fail(err, ENOMEM, "%s", f->key);
    free(*ret);
    *ret = copy;
    return 0;
}

static int check_text(const struct pi_field *f, const char *text, struct pi_error *err)
{
    return f->check ? f->check(text, err) : 0;
}

static int read_string(const struct pi_field *f, const json_t *value, char **ret, struct pi_error *err)
{
    const char *text = text_of(value);
    int r = text ? check_text(f, text, err) : refuse_value(f, err, "a string");
    return r < 0 ? r : replace_string(f, text, ret, err);
}

static int read_text(const struct pi_field *f, const json_t *value, char *ret, struct pi_error *err)
{
    const char *text = text_of(value);
    if (!text)
        return refuse_value(f, err, "a string");
    size_t length = strlen(text);
    if (length >= f->size)
        return pi_refuse(err, PI_USAGE, "'%s' has %zu bytes, and may have %zu", f->key, length, f->size - 1);
    int r = check_text(f, text, err);
    if (r == 0)
        memcpy(ret, text, length + 1);
    return r;
}

static int read_u64(const struct pi_field *f, const json_t *value, uint64_t *ret, struct pi_error *err)
{
    uint64_t max = f->max ? f->max : INT64_MAX;
    json_int_t n = json_integer_value(value);
    if (!json_is_integer(value) || n < 0 || (uint64_t)n < f->min || (uint64_t)n > max)
        return pi_refuse(err, PI_USAGE, "'%s' is not a whole number from %" PRIu64 " to %" PRIu64, f->key,
                         f->min, max);
    *ret = (uint64_t)n;
    return 0;
}

static int refuse_word(const struct pi_field *f, const char *word, struct pi_error *err)
{
    pi_auto_buf struct pi_buf known = {0};
    for (unsigned i = f->zero_is_none; f->names[i]; i++)
        if (pi_buf_printf(&known, "%s%s", known.size ? ", " : "", f->names[i]) < 0)
            return pi_fail(err, ENOMEM, "%s", f->key);
    return pi_refuse(err, PI_USAGE, "'%s' is '%.64s', which is not one of: %s", f->key, word, known.data);
}

static int read_enum(const struct pi_field *f, const json_t *value, bool lenient, char *owner,
                     struct pi_error *err)
{
    const char *word = text_of(value);
    unsigned i = f->zero_is_none;
    if (!word)
        return refuse_value(f, err, "a string");
    while (f->names[i] && strcmp(f->names[i], word) != 0)
        i++;
    bool known = f->names[i] != NULL;
    if (!known && !(lenient && f->other))
        return refuse_word(f, word, err);
    if (f->other) {
        int r = replace_string(f, known ? NULL : word, (char **)(owner + f->other), err);
        if (r < 0)
            return r;
    }
    *(unsigned *)(owner + f->offset) = !known && f->other_value ? f->other_value : i;
    return 0;
}

static int read_strv(const struct pi_field *f, const json_t *value, struct pi_strv *ret, struct pi_error *err)
{
    size_t count = json_array_size(value), max = f->max ? f->max : PI_FIELD_STRV_MAX;
    if (!json_is_array(value))
        return refuse_value(f, err, "a list of strings");
    if (count > max)
        return pi_refuse(err, PI_USAGE, "'%s' has %zu items, and may have %zu", f->key, count, max);
    pi_auto_strv struct pi_strv list = {0};
    size_t i;
    json_t *item;
    json_array_foreach(value, i, item) {
        const char *text = text_of(item);
        if (!text)
            return refuse_value(f, err, "a list of strings");
        int r = check_text(f, text, err);
        if (r < 0)
            return r;
        if ((r = pi_strv_add(&list, text)) < 0)
            return pi_fail(err, -r, "%s", f->key);
    }
    pi_strv_done(ret);
    *ret = list;
    list = (struct pi_strv){0};
    return 0;
}

static int read_field(const struct pi_field *f, json_t *value, bool lenient, char *owner,
                      struct pi_error *err)
{
    char *at = owner + f->offset;
    switch (f->type) {
    case PI_FIELD_STRING:
        return read_string(f, value, (char **)at, err);
    case PI_FIELD_TEXT:
        return read_text(f, value, at, err);
    case PI_FIELD_U64:
        return read_u64(f, value, (uint64_t *)at, err);
    case PI_FIELD_BOOL:
        if (!json_is_boolean(value))
            return refuse_value(f, err, "true or false");
        *(bool *)at = json_is_true(value);
        return 0;
    case PI_FIELD_ENUM:
        return read_enum(f, value, lenient, owner, err);
    case PI_FIELD_STRV:
        return read_strv(f, value, (struct pi_strv *)at, err);
    case PI_FIELD_STRUCT:
        if (!json_is_object(value))
            return refuse_value(f, err, "an object");
        return pi_fields_read(f->nested, value, lenient, at, err);
    case PI_FIELD_INLINE: /* pi_fields_next() gives its rows instead */
        break;
    case PI_FIELD_JSON:
        json_decref(*(json_t **)at);
        *(json_t **)at = json_incref(value);
        return 0;
    }
    return refuse_value(f, err, "of a known type");
}

static bool is_known(const struct pi_field *table, const char *key)
{
    for (struct pi_field_walk walk = {.next = table}; pi_fields_next(&walk);)
        if (!strcmp(walk.field->key, key))
            return true;
    return false;
}

int pi_fields_read(const struct pi_field *table, const json_t *object, bool lenient, void *ret,
                   struct pi_error *err)
{
    if (!json_is_object(object))
        return pi_refuse(err, PI_USAGE, "not a JSON object");
    size_t known = 0;
    for (struct pi_field_walk walk = {.next = table}; pi_fields_next(&walk);) {
        const struct pi_field *f = walk.field;
        json_t *value = json_object_get(object, f->key);
        known += value != NULL;
        if ((!value || json_is_null(value)) && walk.required)
            return pi_refuse(err, PI_USAGE, "'%s' is missing", f->key);
        if (!value || json_is_null(value))
            continue;
        int r = read_field(f, value, lenient, (char *)ret + walk.base, err);
        if (r < 0)
            return r;
    }
    if (lenient || known == json_object_size(object))
        return 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
        if (!is_known(table, key))
            return pi_refuse(err, PI_USAGE, "'%.64s' is not known here", key);
    return 0;
}

json_t *pi_strv_json(const struct pi_strv *v)
{
    json_auto_t *list = json_array();
    for (size_t i = 0; list && i < v->count; i++)
        if (json_array_append_new(list, json_string(v->items[i])) < 0)
            return NULL;
    return json_incref(list);
}

static json_t *enum_json(const struct pi_field *f, const char *owner, bool zero_is_none, bool *absent)
{
    unsigned value = *(const unsigned *)(owner + f->offset);
    const char *other = f->other ? *(char *const *)(owner + f->other) : NULL;
    const char *word = other ? other : f->names[value];
    *absent = !word || (zero_is_none && value == 0);
    return *absent ? NULL : json_string(word);
}

static bool is_zero(const char *bytes, size_t size)
{
    return !bytes[0] && !memcmp(bytes, bytes + 1, size - 1);
}

/* NULL with *absent set: nothing to write. */
static json_t *field_json(const struct pi_field *f, const char *owner, bool zero_is_none, bool *absent)
{
    const char *at = owner + f->offset;
    *absent = f->when && *(const unsigned *)(owner + f->when->offset) != f->when->value;
    if (*absent)
        return NULL;
    switch (f->type) {
    case PI_FIELD_STRING:
        *absent = *(char *const *)at == NULL;
        return *absent ? NULL : json_string(*(char *const *)at);
    case PI_FIELD_TEXT:
        *absent = *at == '\0';
        return *absent ? NULL : json_string(at);
    case PI_FIELD_U64:
        *absent = zero_is_none && *(const uint64_t *)at == 0;
        return *absent ? NULL : json_integer((json_int_t) * (const uint64_t *)at);
    case PI_FIELD_BOOL:
        return json_boolean(*(const bool *)at);
    case PI_FIELD_ENUM:
        return enum_json(f, owner, zero_is_none, absent);
    case PI_FIELD_STRV:
        return pi_strv_json((const struct pi_strv *)at);
    case PI_FIELD_STRUCT:
        *absent = zero_is_none && is_zero(at, f->size);
        return *absent ? NULL : pi_fields_write(f->nested, at);
    case PI_FIELD_INLINE:
        break;
    case PI_FIELD_JSON:
        *absent = *(json_t *const *)at == NULL;
        return json_incref(*(json_t *const *)at);
    }
    return NULL;
}

json_t *pi_fields_write(const struct pi_field *table, const void *from)
{
    json_auto_t *object = json_object();
    for (struct pi_field_walk walk = {.next = table}; object && pi_fields_next(&walk);) {
        bool absent;
        json_t *value = field_json(walk.field, (const char *)from + walk.base, walk.zero_is_none, &absent);
        if (!absent && json_object_set_new(object, walk.field->key, value) < 0)
            return NULL;
    }
    return json_incref(object);
}

static void free_string(char **string)
{
    free(*string);
    *string = NULL;
}

void pi_fields_done(const struct pi_field *table, void *owner)
{
    for (struct pi_field_walk walk = {.next = table}; pi_fields_next(&walk);) {
        const struct pi_field *f = walk.field;
        char *base = (char *)owner + walk.base, *at = base + f->offset;
        if (f->type == PI_FIELD_STRING) {
            free_string((char **)at);
        } else if (f->type == PI_FIELD_ENUM && f->other) {
            free_string((char **)(base + f->other));
        } else if (f->type == PI_FIELD_STRV) {
            pi_strv_done((struct pi_strv *)at);
        } else if (f->type == PI_FIELD_STRUCT) {
            pi_fields_done(f->nested, at);
        } else if (f->type == PI_FIELD_JSON) {
            json_decref(*(json_t **)at);
            *(json_t **)at = NULL;
        }
    }
}

static void *malloc_or_end(size_t size)
{
    static const char message[] = "piagent: there is no memory left\n";
    void *p = malloc(size);
    if (!p) {
        (void)pi_write_all(STDERR_FILENO, message, sizeof message - 1);
        _exit(PI_HOST);
    }
    return p;
}

void pi_json_protect(void)
{
    json_set_alloc_funcs(malloc_or_end, free);
}

json_t *pi_json_parse(const char *text, size_t size, struct pi_error *err)
{
    json_error_t at;
    json_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES, &at);
    if (json_is_object(object))
        return object;
    if (object)
        pi_refuse(err, PI_USAGE, "not a JSON object");
    else
        pi_refuse(err, PI_USAGE, "not JSON: line %d: %s", at.line, at.text);
    json_decref(object);
    return NULL;
}
