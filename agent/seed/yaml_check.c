/* SPDX-License-Identifier: MIT */
#include "agent/seed/yaml_check.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "agent/base/auto.h"
#include "agent/base/buf.h"
#include "agent/base/text.h"
#include "agent/seed/pyyaml_check.h"
#include "agent/seed/shape_check.h"
#include "agent/seed/validate.h"
#include "agent/seed/yaml_syntax.h"

/* Keys of the top level that would take from piagent what it needs in the guest. */
static const struct {
    const char *key, *advice;
} reserved[] = {
    {"user", "name the user with --user; further ones belong under 'users'"},
    {"vendor_data", "piagent's own part reaches the guest as vendor-data, and nothing works without it"},
    {"ssh_keys", "piagent puts the host key in, and 'piagent ssh' checks it"},
};

#define ANCHORS_MAX 1000

struct key {
    char *text;
    size_t line, column;
};

/* Where a node is: the path that people read, and that of its shape. Both end in "?" where they are too long,
 * a path that no shape has. */
struct place {
    char shown[96], shape[96];
};

/* A collection that is open. In a mapping, keys and values alternate. */
struct level {
    bool mapping, at_key;
    bool closed;      /* other keys than those that the schema knows are slips */
    size_t first_key; /* its keys are those from here on in check.keys */
    size_t items;     /* of a list: begun so far */
    struct place place;
    yaml_mark_t start;
};

struct check {
    struct seed_findings *findings;
    struct level levels[SEED_YAML_DEPTH_MAX];
    size_t depth, events, documents;
    struct place place; /* of the value that is due or at hand */
    struct key *keys;
    size_t key_count, key_capacity;
    struct pi_strv anchors;
    bool over; /* something that cannot be gone on after */
};

static void check_done(struct check *check)
{
    for (size_t i = 0; i < check->key_count; i++)
        free(check->keys[i].text);
    free(check->keys);
    pi_strv_done(&check->anchors);
}

static void error_at(struct check *check, const yaml_mark_t *mark, const char *remedy, const char *what)
{
    seed_findings_addf(check->findings, SEED_ERROR, mark->line + 1, mark->column + 1, NULL, remedy, "%s",
                       what);
}

static void bound_passed(struct check *check, const yaml_mark_t *mark, int most, const char *what)
{
    seed_findings_addf(check->findings, SEED_ERROR, mark->line + 1, 0, NULL, NULL, "more than %d %s", most,
                       what);
    check->over = true;
}

static int key_add(struct check *check, const char *text, const yaml_mark_t *mark)
{
    if (check->key_count == check->key_capacity) {
        size_t capacity = check->key_capacity ? check->key_capacity * 2 : 64;
        struct key *keys = reallocarray(check->keys, capacity, sizeof *keys);
        if (!keys)
            return -ENOMEM;
        check->keys = keys;
        check->key_capacity = capacity;
    }
    char *copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    check->keys[check->key_count++] = (struct key){copy, mark->line, mark->column};
    return 0;
}

static int key_compare(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    int order = strcmp(x->text, y->text);
    return order ? order : (x->line > y->line) - (x->line < y->line);
}

/* The mapping ends: no key of it may be there twice. Its keys are forgotten. */
static void keys_close(struct check *check, size_t first)
{
    size_t count = check->key_count - first;
    if (count == 0)
        return; /* there may be no keys at all: an alias as a key is none */
    struct key *keys = check->keys + first;
    qsort(keys, count, sizeof *keys, key_compare);
    for (size_t i = 1; i < count; i++)
        if (strcmp(keys[i - 1].text, keys[i].text) == 0 && strcmp(keys[i].text, "<<") != 0)
            seed_findings_addf(check->findings, SEED_ERROR, keys[i].line + 1, keys[i].column + 1, NULL,
                               "the last one would win: make one of them",
                               "the key '%.64s' is there already, in line %zu", keys[i].text,
                               keys[i - 1].line + 1);
    for (size_t i = 0; i < count; i++)
        free(keys[i].text);
    check->key_count = first;
}

/* A merge ("<<") may bring in what is missing. */
static bool has_one(const struct check *check, const struct level *level, const char *const needs[2])
{
    for (size_t i = level->first_key; i < check->key_count; i++)
        for (size_t j = 0; j < 2 && needs[j]; j++)
            if (!strcmp(check->keys[i].text, needs[j]) || !strcmp(check->keys[i].text, "<<"))
                return true;
    return false;
}

static void mapping_closes(struct check *check, const struct level *level)
{
    const struct seed_shape *shape = seed_shape_find(level->place.shape);
    if (shape && shape->needs[0] && !has_one(check, level, shape->needs))
        seed_findings_addf(check->findings, SEED_WARNING, level->start.line + 1, level->start.column + 1,
                           level->place.shown, "cloud-init needs it here: add it", "there is no key '%s'",
                           shape->needs[0]);
    keys_close(check, level->first_key);
}

static void append(char *path, size_t size, const char *step)
{
    size_t length = strlen(path);
    bool fits = length + strlen(step) < size;
    snprintf(path + length, size - length, "%s", fits ? step : "?");
}

/* An item's place: "[]" for its shape. */
static void enter_item(struct check *check, struct level *level)
{
    char step[32];
    snprintf(step, sizeof step, "[%zu]", level->items++);
    check->place = level->place;
    append(check->place.shown, sizeof check->place.shown, step);
    append(check->place.shape, sizeof check->place.shape, "[]");
}

static void enter_key(struct check *check, const struct level *level, const char *key)
{
    char any[sizeof check->place.shape];
    const char *dot = level->place.shown[0] ? "." : "";
    check->place = level->place;
    append(check->place.shown, sizeof check->place.shown, dot);
    append(check->place.shown, sizeof check->place.shown, key);
    append(check->place.shape, sizeof check->place.shape, dot);
    snprintf(any, sizeof any, "%s", check->place.shape);
    append(any, sizeof any, "*");
    /* Only a key of plain letters is one of the schema's: others could be taken for steps of a path. */
    append(check->place.shape, sizeof check->place.shape, strpbrk(key, ".[]*") || !key[0] ? "?" : key);
    if (!seed_shape_find(check->place.shape) && seed_shape_find(any))
        snprintf(check->place.shape, sizeof check->place.shape, "%s", any);
}

static void unknown_key(struct check *check, const struct level *level, const yaml_event_t *event,
                        const char *key)
{
    char remedy[96] = "cloud-init passes over it";
    const char *nearest = seed_shape_nearest(level->place.shape, key);
    if (nearest)
        snprintf(remedy, sizeof remedy, "did you mean %s?", nearest);
    seed_findings_addf(check->findings, SEED_WARNING, event->start_mark.line + 1,
                       event->start_mark.column + 1, check->place.shown, remedy,
                       "cloud-init knows no such key");
}

static bool key_reserved(struct check *check, const yaml_event_t *event, const char *key)
{
    for (size_t i = 0; i < PI_ARRAY_SIZE(reserved); i++)
        if (strcmp(key, reserved[i].key) == 0) {
            seed_findings_addf(check->findings, SEED_ERROR, event->start_mark.line + 1,
                               event->start_mark.column + 1, NULL, reserved[i].advice,
                               "'%s' is piagent's to set", key);
            return true;
        }
    return false;
}

static int key_begins(struct check *check, const struct level *level, const yaml_event_t *event)
{
    if (event->type == YAML_ALIAS_EVENT)
        return 0;
    if (event->type != YAML_SCALAR_EVENT) {
        error_at(check, &event->start_mark, "quote it where it holds '{' or '['", "a key must be plain text");
        check->over = true;
        return 0;
    }
    const char *key = (const char *)event->data.scalar.value;
    enter_key(check, level, key);
    bool said = check->depth == 1 && key_reserved(check, event, key);
    if (!said && level->closed && strcmp(key, "<<") != 0 && !seed_shape_find(check->place.shape))
        unknown_key(check, level, event, key);
    return key_add(check, key, &event->start_mark);
}

static enum seed_type type_of(const yaml_event_t *event)
{
    if (event->type == YAML_MAPPING_START_EVENT)
        return SEED_MAP;
    if (event->type == YAML_SEQUENCE_START_EVENT)
        return SEED_LIST;
    const char *text = (const char *)event->data.scalar.value;
    return event->data.scalar.plain_implicit ? seed_scalar_type(text, event->data.scalar.length) : SEED_TEXT;
}

/* A tag changes what a value is ("!!binary"); an alias was looked at where its anchor is. */
static void value_begins(struct check *check, const yaml_event_t *event)
{
    const struct seed_shape *shape = seed_shape_find(check->place.shape);
    bool scalar = event->type == YAML_SCALAR_EVENT;
    if (!shape || event->type == YAML_ALIAS_EVENT || (scalar && event->data.scalar.tag))
        return;
    seed_shape_check(shape,
                     &(struct seed_value){
                         .type = type_of(event),
                         .text = scalar ? (const char *)event->data.scalar.value : NULL,
                         .length = scalar ? event->data.scalar.length : 0,
                         .line = event->start_mark.line + 1,
                         .column = event->start_mark.column + 1,
                         .path = check->place.shown,
                     },
                     check->findings);
}

static void nothing_there(struct check *check)
{
    seed_findings_addf(check->findings, SEED_ERROR, 0, 0, NULL, NULL,
                       "nothing follows the first line: there is no configuration");
    check->over = true;
}

/* A scalar or a collection begins where a value or a key is due. */
static int node_begins(struct check *check, const yaml_event_t *event)
{
    if (check->depth == 0) {
        if (event->type == YAML_SCALAR_EVENT && !event->data.scalar.length)
            nothing_there(check);
        else if (event->type != YAML_MAPPING_START_EVENT) {
            error_at(check, &event->start_mark, "write 'key: value' lines",
                     "the top level must be a mapping");
            check->over = true;
        }
        return 0;
    }
    struct level *level = &check->levels[check->depth - 1];
    bool key = level->mapping && level->at_key;
    level->at_key = !key;
    if (key)
        return key_begins(check, level, event);
    if (!level->mapping)
        enter_item(check, level);
    value_begins(check, event);
    return 0;
}

static void collection_opens(struct check *check, bool mapping, const yaml_mark_t *mark)
{
    if (check->depth == SEED_YAML_DEPTH_MAX) {
        bound_passed(check, mark, SEED_YAML_DEPTH_MAX, "levels deep");
        return;
    }
    bool known = check->depth == 0 || seed_shape_find(check->place.shape);
    struct level *level = &check->levels[check->depth++];
    *level = (struct level){
        .mapping = mapping,
        .at_key = true,
        .closed = mapping && known && seed_shape_is_closed(check->place.shape),
        .first_key = check->key_count,
        .place = check->place,
        .start = *mark,
    };
}

static bool anchor_known(const struct check *check, const char *name)
{
    for (size_t i = 0; i < check->anchors.count; i++)
        if (strcmp(check->anchors.items[i], name) == 0)
            return true;
    return false;
}

static int anchor_add(struct check *check, const yaml_char_t *anchor, const yaml_mark_t *mark)
{
    if (!anchor)
        return 0;
    if (check->anchors.count == ANCHORS_MAX) {
        bound_passed(check, mark, ANCHORS_MAX, "anchors");
        return 0;
    }
    const char *name = (const char *)anchor;
    if (anchor_known(check, name)) /* libyaml and YAML allow it, PyYAML does not */
        error_at(check, mark, "give it another name", "an anchor of this name is there already");
    return pi_strv_add(&check->anchors, name);
}

static void alias_check(struct check *check, const yaml_event_t *event)
{
    if (!anchor_known(check, (const char *)event->data.alias.anchor))
        error_at(check, &event->start_mark, "text that starts with '*' needs quotes",
                 "there is no anchor of this name");
}

static int event_check(struct check *check, const yaml_event_t *event)
{
    const yaml_mark_t *mark = &event->start_mark;
    int r = 0;
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (++check->documents > 1) {
            error_at(check, mark, "cloud-init takes one: remove the '---'", "a second document starts");
            check->over = true;
        }
        return 0;
    case YAML_MAPPING_END_EVENT:
        check->depth--;
        mapping_closes(check, &check->levels[check->depth]);
        return 0;
    case YAML_SEQUENCE_END_EVENT:
        check->depth--;
        return 0;
    case YAML_SCALAR_EVENT:
        r = node_begins(check, event);
        return r < 0 ? r : anchor_add(check, event->data.scalar.anchor, mark);
    case YAML_ALIAS_EVENT:
        alias_check(check, event);
        return node_begins(check, event);
    case YAML_MAPPING_START_EVENT:
        r = node_begins(check, event);
        if (r == 0)
            r = anchor_add(check, event->data.mapping_start.anchor, mark);
        collection_opens(check, true, mark);
        return r;
    case YAML_SEQUENCE_START_EVENT:
        r = node_begins(check, event);
        if (r == 0)
            r = anchor_add(check, event->data.sequence_start.anchor, mark);
        collection_opens(check, false, mark);
        return r;
    default:
        return 0;
    }
}

int seed_yaml_check(const char *data, size_t size, struct seed_findings *findings)
{
    pi_auto(yaml_parser_delete) yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return -ENOMEM;
    yaml_parser_set_input_string(&parser, (const unsigned char *)data, size);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);

    pi_auto(check_done) struct check check = {.findings = findings};
    struct seed_pyyaml pyyaml = {.data = data, .size = size, .findings = findings};
    for (bool end = false; !end && !check.over;) {
        pi_auto(yaml_event_delete) yaml_event_t event = {0};
        if (!yaml_parser_parse(&parser, &event))
            return seed_yaml_syntax(&parser, data, size, findings);
        if (++check.events > SEED_YAML_EVENTS_MAX) {
            bound_passed(&check, &event.start_mark, SEED_YAML_EVENTS_MAX, "keys and values");
            break;
        }
        seed_pyyaml_event(&pyyaml, &event);
        int r = event_check(&check, &event);
        if (r < 0)
            return r;
        end = event.type == YAML_STREAM_END_EVENT;
    }
    if (!check.documents)
        nothing_there(&check);
    return 0;
}
