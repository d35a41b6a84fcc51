/* SPDX-License-Identifier: MIT */
#include "agent/seed/schema.h"

#include <errno.h>
#include <regex.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/seed/schema_run.h"

/* More are an attack: a large file that a person wrote takes some thousand. */
#define STEPS_MAX 2000000
/* A regular expression costs as much as so many steps. */
#define REGEX_STEPS 100

extern const unsigned char seed_schema_json[];

static unsigned check_value(const struct seed_schema_run *run, const json_t *schema,
                            const struct seed_place *place);

/* The distances inside a collection add up to less than the distance of a wrong type. */
static unsigned cap_distance(unsigned distance)
{
    return distance < SEED_OTHER ? distance : SEED_OTHER - 1;
}

static bool take_steps(const struct seed_schema_run *run, size_t count)
{
    *run->steps -= *run->steps < count ? *run->steps : count;
    return *run->steps > 0;
}

static const char *schema_text(const json_t *schema, const char *key)
{
    return json_string_value(json_object_get(schema, key));
}

static size_t number_of(const json_t *schema, const char *key, size_t otherwise)
{
    const json_t *value = json_object_get(schema, key);
    return value ? (size_t)json_integer_value(value) : otherwise;
}

/* The patterns of the schema mean the same as POSIX extended regular expressions. If memory runs out the text
 * matches, so that the check tells nothing. */
static bool pattern_matches(const struct seed_schema_run *run, const char *pattern, const char *text)
{
    regex_t regex;
    if (strcmp(pattern, "^.+$") == 0)
        return text[0] != '\0';
    if (!take_steps(run, REGEX_STEPS) || regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return true;
    int r = regexec(&regex, text, 0, NULL, 0);
    regfree(&regex);
    return r == 0;
}

static void path_add(char path[static 96], const char *step_text)
{
    size_t length = strlen(path);
    bool fits = length + strlen(step_text) < 96;
    snprintf(path + length, 96 - length, "%s", fits ? step_text : "?");
}

static struct seed_place item_place(const struct seed_place *list, const struct seed_node *item, size_t i)
{
    char step_text[32];
    struct seed_place place = *list;
    snprintf(step_text, sizeof step_text, "[%zu]", i);
    path_add(place.path, step_text);
    place.node = seed_node_target(item);
    return place;
}

static struct seed_place key_place(const struct seed_place *map, const char *key,
                                   const struct seed_node *value)
{
    struct seed_place place = *map;
    if (place.path[0])
        path_add(place.path, ".");
    path_add(place.path, key);
    place.node = value ? seed_node_target(value) : NULL;
    return place;
}

/* The key's text, or NULL if the key is not a scalar. */
static const char *key_text(const struct seed_node *key)
{
    return seed_node_target(key)->text;
}

/* Tells if the mapping has the key, perhaps by a merge. depth bounds merges of merges. */
static bool has_key(const struct seed_schema_run *run, const struct seed_node *map, const char *wanted,
                    unsigned depth)
{
    const struct seed_node *key = map->first;
    for (; key && depth && take_steps(run, 1); key = key->next ? key->next->next : NULL) {
        const char *text = key_text(key);
        if (text && strcmp(text, wanted) == 0)
            return true;
        const struct seed_node *merged =
            seed_node_is_merge(key) && key->next ? seed_node_target(key->next) : NULL;
        if (merged && merged->type == SEED_MAP && has_key(run, merged, wanted, depth - 1))
            return true;
        for (const struct seed_node *item = merged ? merged->first : NULL; item && merged->type == SEED_LIST;
             item = item->next)
            if (seed_node_target(item)->type == SEED_MAP &&
                has_key(run, seed_node_target(item), wanted, depth - 1))
                return true;
    }
    return false;
}

static unsigned required_check(const struct seed_schema_run *run, const json_t *schema,
                               const struct seed_place *place)
{
    unsigned distance = 0;
    size_t i;
    json_t *key;
    json_array_foreach(json_object_get(schema, "required"), i, key) {
        if (!place->node->whole || has_key(run, place->node, json_string_value(key), 8))
            continue;
        distance += SEED_NEAR;
        seed_tell(run, place, "cloud-init needs it here: add it", "there is no key '%s'",
                  json_string_value(key));
    }
    return distance;
}

/* A key of a mapping and its value. */
static unsigned pair_check(const struct seed_schema_run *run, const json_t *schema,
                           const struct seed_place *map, const struct seed_node *key)
{
    const json_t *properties = json_object_get(schema, "properties"), *other, *pattern_schema;
    const char *text = key_text(key), *pattern;
    if (!text || seed_node_is_merge(key))
        return 0;
    struct seed_place place = key_place(map, text, key->next);
    const json_t *known = json_object_get(properties, text);
    unsigned distance = known && place.node ? check_value(run, known, &place) : 0;
    json_object_foreach((json_t *)json_object_get(schema, "patternProperties"), pattern, pattern_schema) {
        if (known || !pattern_matches(run, pattern, text))
            continue;
        known = pattern_schema;
        distance += place.node ? check_value(run, pattern_schema, &place) : 0;
    }
    other = json_object_get(schema, "additionalProperties");
    if (known || !other || json_is_true(other))
        return distance;
    if (json_is_object(other))
        return distance + (place.node ? check_value(run, other, &place) : 0);
    seed_tell_unknown(run, properties, key, place.path);
    return distance + SEED_NEAR;
}

static unsigned map_check(const struct seed_schema_run *run, const json_t *schema,
                          const struct seed_place *place)
{
    const struct seed_node *map = place->node, *key = map->first;
    unsigned distance = required_check(run, schema, place);
    if (map->whole && map->count / 2 < number_of(schema, "minProperties", 0)) {
        distance += SEED_NEAR;
        seed_tell(run, place, "remove it, or write 'key: value' lines below it", "an empty mapping");
    }
    for (; key; key = key->next ? key->next->next : NULL)
        distance = cap_distance(distance + pair_check(run, schema, place, key));
    return distance;
}

/* The first item that stands in the list twice. Compares texts only, as no schema needs more. */
static const struct seed_node *twice_find(const struct seed_schema_run *run, const struct seed_node *list)
{
    for (const struct seed_node *item = list->first; item; item = item->next)
        for (const struct seed_node *before = list->first; before != item && take_steps(run, 1);
             before = before->next) {
            const char *a = key_text(item), *b = key_text(before);
            if (a && b && strcmp(a, b) == 0)
                return item;
        }
    return NULL;
}

static unsigned list_check(const struct seed_schema_run *run, const json_t *schema,
                           const struct seed_place *place)
{
    const struct seed_node *list = place->node;
    const json_t *items = json_object_get(schema, "items");
    size_t least = number_of(schema, "minItems", 0), most = number_of(schema, "maxItems", SIZE_MAX), i = 0;
    unsigned distance = 0;
    if ((list->whole && list->count < least) || list->count > most) {
        distance += SEED_NEAR;
        seed_tell(run, place, list->count ? NULL : "remove the key, or add an item",
                  list->count ? "%zu items, but cloud-init wants %s %zu" : "an empty list", list->count,
                  list->count < least ? "at least" : "at most", list->count < least ? least : most);
    }
    for (const struct seed_node *item = list->first; items && item; item = item->next) {
        struct seed_place at = item_place(place, item, i++);
        distance = cap_distance(distance + check_value(run, items, &at));
    }
    const struct seed_node *twice =
        json_is_true(json_object_get(schema, "uniqueItems")) ? twice_find(run, list) : NULL;
    if (twice) {
        struct seed_place at = *place;
        at.node = twice;
        distance += SEED_NEAR;
        seed_tell(run, &at, "remove one of them", "an item that is in the list twice");
    }
    return distance;
}

static unsigned scalar_check(const struct seed_schema_run *run, const json_t *schema,
                             const struct seed_place *place)
{
    const struct seed_node *node = place->node;
    const char *pattern = schema_text(schema, "pattern"), *look = schema_text(schema, "look");
    const json_t *minimum = json_object_get(schema, "minimum");
    if (minimum && node->type & SEED_NUMBER && strtod(node->text, NULL) < json_number_value(minimum)) {
        seed_tell(run, place, NULL, "a number below %g", json_number_value(minimum));
        return SEED_FAR;
    }
    if (pattern && node->type == SEED_TEXT && !pattern_matches(run, pattern, node->text)) {
        char remedy[128];
        snprintf(remedy, sizeof remedy, "it has to match the regular expression %s", pattern);
        seed_tell(run, place, remedy, "not of the form that cloud-init takes");
        return SEED_FAR - 1;
    }
    if (look && node->type == SEED_TEXT)
        seed_look(run, look, place);
    return 0;
}

/* The keys that a schema requires, if it requires nothing else; else NULL. */
static const json_t *only_required(const json_t *schema)
{
    return json_object_size(schema) == 1 ? json_object_get(schema, "required") : NULL;
}

/* Tells which keys are missing, if each of the forms only requires one key. */
static bool tell_missing(const struct seed_schema_run *run, const json_t *forms,
                         const struct seed_place *place)
{
    char names[160] = "";
    size_t i, used = 0, count = json_array_size(forms);
    json_t *form;
    json_array_foreach(forms, i, form) {
        const char *key = json_string_value(json_array_get(only_required(form), 0));
        if (!key || json_array_size(only_required(form)) != 1 || used >= sizeof names)
            return false;
        used += (size_t)snprintf(names + used, sizeof names - used, "%s'%s'",
                                 !i              ? ""
                                 : i + 1 < count ? ", "
                                                 : " or ",
                                 key);
    }
    seed_tell(run, place, "cloud-init needs it here: add it", "there is no key %s", names);
    return true;
}

/* The key by which a form differs from its neighbours, or NULL if it requires more than keys. */
static const char *own_key(const json_t *form)
{
    const json_t *required = only_required(form);
    return required ? json_string_value(json_array_get(required, json_array_size(required) - 1)) : NULL;
}

/* Tells if more than one of the forms fits, each of which requires a key that the others exclude. */
static unsigned exclusion_check(const struct seed_schema_run *run, const json_t *forms,
                                const struct seed_place *place)
{
    const struct seed_schema_run quiet = {run->definitions, NULL, run->steps};
    const char *first = NULL;
    size_t i;
    json_t *form;
    json_array_foreach(forms, i, form) {
        if (!own_key(form))
            return 0;
        if (!place->node->whole || check_value(&quiet, form, place) > 0)
            continue;
        if (first) {
            seed_tell(run, place, "remove one of them", "keys that exclude each other: '%s' and '%s'", first,
                      own_key(form));
            return SEED_NEAR;
        }
        first = own_key(form);
    }
    return 0;
}

/* Checks the value against the nearest of several forms. */
static unsigned forms_check(const struct seed_schema_run *run, const json_t *forms,
                            const struct seed_place *place)
{
    const struct seed_schema_run quiet = {run->definitions, NULL, run->steps};
    const json_t *nearest = NULL;
    unsigned least = 0, types = 0;
    size_t i;
    json_t *form;
    json_array_foreach(forms, i, form) {
        unsigned distance = check_value(&quiet, form, place);
        types |= seed_schema_types(run, form);
        if (!nearest || distance < least) {
            nearest = form;
            least = distance;
        }
    }
    if (!nearest || (least && !run->findings))
        return least;
    if (least && !(types & place->node->type))
        seed_tell_type(run, nearest, place, types);
    else if (!least || !tell_missing(run, forms, place))
        check_value(run, nearest, place);
    return least;
}

static unsigned not_check(const struct seed_schema_run *run, const json_t *schema,
                          const struct seed_place *place)
{
    const struct seed_schema_run quiet = {run->definitions, NULL, run->steps};
    const json_t *required = json_object_get(schema, "required");
    if (!schema || !place->node->whole || check_value(&quiet, schema, place) > 0)
        return 0;
    seed_tell(run, place, "remove one of them", "keys that exclude each other: '%s' and '%s'",
              json_string_value(json_array_get(required, 0)), json_string_value(json_array_get(required, 1)));
    return SEED_NEAR;
}

static unsigned combinations_check(const struct seed_schema_run *run, const json_t *schema,
                                   const struct seed_place *place)
{
    size_t i;
    json_t *part;
    unsigned distance = not_check(run, json_object_get(schema, "not"), place);
    json_array_foreach(json_object_get(schema, "allOf"), i, part)
        distance += check_value(run, part, place);
    distance += forms_check(run, json_object_get(schema, "anyOf"), place);
    distance += forms_check(run, json_object_get(schema, "oneOf"), place);
    return distance + exclusion_check(run, json_object_get(schema, "oneOf"), place);
}

static bool word_known(const json_t *words, const struct seed_node *node)
{
    size_t i;
    json_t *word;
    json_array_foreach(words, i, word) {
        bool is_true = node->type == SEED_BOOL && strchr("yYtT", node->text[0]);
        is_true = is_true || (node->type == SEED_BOOL && (node->text[1] == 'n' || node->text[1] == 'N'));
        if (json_is_string(word) ? node->type == SEED_TEXT && !strcmp(json_string_value(word), node->text)
                                 : node->type == SEED_BOOL && json_boolean_value(word) == is_true)
            return true;
    }
    return false;
}

/* Returns how far the value is from what the schema allows. */
static unsigned check_value(const struct seed_schema_run *run, const json_t *schema,
                            const struct seed_place *place)
{
    const struct seed_node *node = place->node;
    const json_t *words = json_object_get(schema, "enum");
    const char *reference = schema_text(schema, "$ref");
    if (!take_steps(run, 1) || (node->tag && node->text)) /* a tag changes the type of a text */
        return 0;
    seed_tell_deprecated(run, schema, place);
    unsigned own = seed_schema_types(&(struct seed_schema_run){0}, schema);
    if (!(own & node->type)) {
        seed_tell_type(run, schema, place, own);
        return SEED_OTHER;
    }
    unsigned distance = combinations_check(run, schema, place);
    if (reference)
        distance += check_value(run, json_object_get(run->definitions, reference), place);
    if (words && !word_known(words, node)) {
        seed_tell_word(run, words, place);
        return distance + SEED_FAR;
    }
    if (node->type == SEED_MAP)
        return distance + map_check(run, schema, place);
    if (node->type == SEED_LIST)
        return distance + list_check(run, schema, place);
    return distance + scalar_check(run, schema, place);
}

int seed_schema_check(const struct seed_node *root, struct seed_findings *findings)
{
    json_auto_t *schema = json_loads((const char *)seed_schema_json, 0, NULL);
    if (!schema)
        return -ENOMEM;
    size_t steps = STEPS_MAX;
    const struct seed_schema_run run = {json_object_get(schema, "definitions"), findings, &steps};
    check_value(&run, schema, &(struct seed_place){.node = root});
    return 0;
}
