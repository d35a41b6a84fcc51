/* SPDX-License-Identifier: MIT */
/* Words the findings of the schema's check, and their remedies. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"
#include "agent/seed/schema_run.h"
#include "agent/seed/secret.h"

#define NAMES_MAX 192 /* of the keys of a mapping */

static const struct {
    const char *schema; /* its name in JSON Schema; NULL = no schema requires it */
    unsigned types;
    const char *name;
} types[] = {
    {"boolean", SEED_BOOL, "true or false"},
    {"number", SEED_NUMBER, "a number"},
    {"integer", SEED_INTEGER, "a number"},
    {NULL, SEED_FLOAT, "a fraction"},
    {"string", SEED_TEXT, "text"},
    {"array", SEED_LIST, "a list"},
    {"object", SEED_MAP, "a mapping"},
    {"null", SEED_NULL, "nothing"},
    {NULL, SEED_DATE, "a date"},
};

static unsigned type_bits(const json_t *name)
{
    for (size_t i = 0; i < PI_ARRAY_SIZE(types); i++)
        if (types[i].schema && json_is_string(name) && !strcmp(types[i].schema, json_string_value(name)))
            return types[i].types;
    return 0;
}

static unsigned enum_types(const json_t *words)
{
    unsigned bits = 0;
    size_t i;
    json_t *word;
    json_array_foreach(words, i, word)
        bits |= json_is_boolean(word) ? SEED_BOOL : SEED_TEXT;
    return bits;
}

static unsigned form_types(const struct seed_schema_run *run, const json_t *forms)
{
    unsigned bits = 0;
    size_t i;
    json_t *form;
    json_array_foreach(forms, i, form)
        bits |= seed_schema_types(run, form);
    return bits;
}

unsigned seed_schema_types(const struct seed_schema_run *run, const json_t *schema)
{
    const json_t *type = json_object_get(schema, "type"), *words = json_object_get(schema, "enum");
    const json_t *forms = json_object_get(schema, "oneOf");
    const char *reference = json_string_value(json_object_get(schema, "$ref"));
    unsigned bits = type_bits(type);
    size_t i;
    json_t *name;
    json_array_foreach(type, i, name)
        bits |= type_bits(name);
    if (!bits && words)
        bits = enum_types(words);
    if (!bits && forms && run->definitions)
        bits = form_types(run, forms);
    if (!bits && reference && run->definitions)
        bits = seed_schema_types(run, json_object_get(run->definitions, reference));
    return bits ? bits : ~0U;
}

static const char *name_of(enum seed_type type)
{
    for (size_t i = PI_ARRAY_SIZE(types); i-- > 0;)
        if (types[i].types == (unsigned)type)
            return types[i].name;
    return "a value";
}

/* "text or a list" */
static const char *wanted_text(unsigned wanted, char *buf, size_t size)
{
    size_t used = 0;
    buf[0] = '\0';
    for (size_t i = 0; i < PI_ARRAY_SIZE(types) && used < size; i++)
        if (types[i].schema && wanted & types[i].types & ~(unsigned)SEED_NULL && !strstr(buf, types[i].name))
            used += (size_t)snprintf(buf + used, size - used, "%s%s", used ? " or " : "", types[i].name);
    return buf;
}

void seed_tell(const struct seed_schema_run *run, const struct seed_place *place, const char *remedy,
               const char *format, ...)
{
    char message[256];
    va_list args;
    if (!run->findings || !*run->steps) /* without steps left, a key may only seem to be missing */
        return;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    seed_findings_addf(run->findings, SEED_WARNING, place->node->line, place->node->column, place->path,
                       remedy, "%s", message);
}

static const char *type_remedy(const json_t *schema, const struct seed_node *node, unsigned wanted,
                               const char *path)
{
    const char *look = json_string_value(json_object_get(schema, "look"));
    if (look && strcmp(look, "mode") == 0)
        return "write it in quotes, as '0644': YAML reads a bare number in its own way";
    if (node->type == SEED_MAP && pi_ends_with(path, "]") && wanted & SEED_TEXT)
        return "a ': ' in the line makes it a mapping: put the whole line in quotes";
    if (node->type == SEED_NULL)
        return "remove the key, or give it a value";
    if (node->type & (SEED_BOOL | SEED_NUMBER | SEED_DATE) && wanted & SEED_TEXT)
        return "put it in quotes";
    if (node->type == SEED_TEXT && wanted & SEED_BOOL)
        return seed_scalar_type(node->text) == SEED_BOOL ? "write it without quotes" : "write true or false";
    if (node->type == SEED_TEXT && wanted & SEED_NUMBER && seed_scalar_type(node->text) & SEED_NUMBER)
        return "write it without quotes";
    if (node->type & SEED_SCALARS && wanted & SEED_LIST)
        return "write each item on a line of its own, after '- '";
    if (node->type & SEED_SCALARS && wanted & SEED_MAP)
        return "write 'key: value' lines below it, indented";
    if (node->type == SEED_LIST && wanted & SEED_MAP)
        return "write 'key: value' lines without '- '";
    return NULL;
}

/* cloud-init's modules convert most scalars, but fail if they get a list or mapping in the wrong place. */
static bool module_fails(const struct seed_node *node, unsigned wanted)
{
    if (node->type & (SEED_LIST | SEED_MAP))
        return true;
    return !(wanted & SEED_SCALARS & ~(unsigned)SEED_NULL) && node->type != SEED_NULL;
}

void seed_tell_type(const struct seed_schema_run *run, const json_t *schema, const struct seed_place *place,
                    unsigned wanted)
{
    const struct seed_node *node = place->node;
    char text[96];
    double number;
    /* seed_pyyaml_check() tells these. */
    bool told = node->plain &&
                (seed_scalar_base60(node->text, &number) || !seed_scalar_converts(node->type, node->text));
    if (!run->findings || told)
        return;
    seed_findings_addf(run->findings, module_fails(node, wanted) ? SEED_ERROR : SEED_WARNING, node->line,
                       node->column, place->path, type_remedy(schema, node, wanted, place->path),
                       "%s, but cloud-init wants %s", name_of(node->type),
                       wanted_text(wanted, text, sizeof text));
}

/* "it is one of a, b" */
static void words_list(const char *const *words, char *ret, size_t size)
{
    size_t used = (size_t)snprintf(ret, size, "it is one of");
    for (; *words && used < size; words++)
        used += (size_t)snprintf(ret + used, size - used, "%s %s", used > strlen("it is one of") ? "," : "",
                                 *words);
}

void seed_tell_word(const struct seed_schema_run *run, const json_t *words, const struct seed_place *place)
{
    const char *known[NAMES_MAX + 1] = {0}, *text = place->node->text;
    char shown[48], list[160], suggestion[PI_SUGGESTION_SIZE];
    size_t i, count = 0;
    json_t *word;
    if (!text)
        text = "";
    json_array_foreach(words, i, word)
        if (count < NAMES_MAX)
            known[count++] = json_is_string(word) ? json_string_value(word)
                             : json_is_true(word) ? "true"
                                                  : "false";
    pi_text_clean(text, strlen(text), shown, sizeof shown);
    words_list(known, list, sizeof list);
    const char *remedy = pi_suggest(shown, known, list, suggestion);
    if (seed_secret_named(place->path, strlen(place->path)))
        seed_tell(run, place, remedy, "not a known word");
    else
        seed_tell(run, place, remedy, "'%s' is not known", shown);
}

/* Tells if one letter was left out, added or changed, or two changed places. */
static bool one_edit(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    size_t x = strlen(a), y = strlen(b);
    while (x && y && a[x - 1] == b[y - 1]) {
        x--;
        y--;
    }
    return (x <= 1 && y <= 1) || (x == 2 && y == 2 && a[0] == b[1] && a[1] == b[0]);
}

/* The only key that begins with the word, as "homedir" for "home"; else NULL. */
static const char *complete_key(const char *word, const char *const *keys)
{
    const char *found = NULL;
    if (strlen(word) < 3)
        return NULL;
    for (; *keys; keys++)
        if (pi_starts_with(*keys, word)) {
            if (found)
                return NULL;
            found = *keys;
        }
    return found;
}

/* The key that the user probably meant, or NULL. Case and '-' for '_' do not matter. A short key must differ
 * in one letter only. Never a deprecated key. */
static const char *nearest_key(const json_t *properties, const char *key)
{
    const char *keys[NAMES_MAX + 1] = {0}, *name;
    char plain[64];
    size_t i = 0, count = 0;
    const json_t *schema;
    json_object_foreach((json_t *)properties, name, schema)
        if (count < NAMES_MAX && !json_object_get(schema, "deprecated"))
            keys[count++] = name;
    for (; key[i] && i + 1 < sizeof plain; i++)
        plain[i] = key[i] == '-' ? '_' : (char)tolower((unsigned char)key[i]);
    plain[i] = '\0';
    const char *found = complete_key(plain, keys), *near = found ? NULL : pi_nearest(plain, keys);
    return !near || (i <= 5 && !one_edit(plain, near)) ? found : near;
}

void seed_tell_unknown(const struct seed_schema_run *run, const json_t *properties,
                       const struct seed_node *key, const char *path)
{
    char remedy[96] = "cloud-init ignores it";
    if (!run->findings)
        return;
    const char *nearest = nearest_key(properties, seed_node_target(key)->text);
    if (nearest)
        snprintf(remedy, sizeof remedy, "did you mean %s?", nearest);
    seed_findings_addf(run->findings, SEED_WARNING, key->line, key->column, path, remedy,
                       "cloud-init knows no such key");
}

void seed_tell_deprecated(const struct seed_schema_run *run, const json_t *schema,
                          const struct seed_place *place)
{
    const char *instead = json_string_value(json_object_get(schema, "instead"));
    char remedy[96];
    if (!json_is_true(json_object_get(schema, "deprecated")))
        return;
    snprintf(remedy, sizeof remedy, "write %s", instead ? instead : "");
    seed_tell(run, place, instead ? remedy : NULL, "deprecated");
}
