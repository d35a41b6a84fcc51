#include "agent/seed/yaml_check.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "agent/base/auto.h"
#include "agent/base/buf.h"
#include "agent/base/text.h"
#include "agent/seed/validate.h"

/* Keys of the top level that would take from piagent what it needs in the guest. */
static const struct {
    const char *key, *advice;
} reserved[] = {
    {"user", "name the user with --user; further ones belong under 'users'"},
    {"vendor_data", "piagent's own part reaches the guest as vendor-data, and nothing works without it"},
    {"ssh_keys", "piagent puts the host key in, and 'piagent ssh' checks it"},
};

struct key {
    char *text;
    size_t line;
};

/* A collection that is open. In a mapping, keys and values alternate. */
struct level {
    bool mapping, at_key;
    size_t first_key; /* its keys are those from here on in check.keys */
};

struct check {
    struct level levels[SEED_YAML_DEPTH_MAX];
    size_t depth, events, documents;
    struct key *keys;
    size_t key_count, key_capacity;
    struct pi_strv anchors;
};

#define ANCHORS_MAX 1000

static void check_done(struct check *check)
{
    for (size_t i = 0; i < check->key_count; i++)
        free(check->keys[i].text);
    free(check->keys);
    pi_strv_done(&check->anchors);
}

static int key_add(struct check *check, const char *text, size_t line)
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
    check->keys[check->key_count++] = (struct key){copy, line};
    return 0;
}

static int key_compare(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    int order = strcmp(x->text, y->text);
    return order ? order : (x->line > y->line) - (x->line < y->line);
}

static int refuse_at(struct pi_error *err, size_t line, size_t column, const char *what)
{
    return pi_refuse(err, PI_USAGE, "line %zu, column %zu: %s", line + 1, column + 1, what);
}

/* The mapping ends: no key of it may be there twice. Its keys are forgotten. */
static int keys_close(struct check *check, size_t first, struct pi_error *err)
{
    if (check->key_count == first)
        return 0;
    struct key *keys = check->keys + first;
    size_t count = check->key_count - first;
    int r = 0;
    qsort(keys, count, sizeof *keys, key_compare);
    for (size_t i = 1; r == 0 && i < count; i++)
        if (strcmp(keys[i - 1].text, keys[i].text) == 0 && strcmp(keys[i].text, "<<") != 0) {
            char shown[64];
            r = pi_refuse(
                err, PI_USAGE, "line %zu: the key '%s' is there already, in line %zu", keys[i].line + 1,
                pi_text_clean(keys[i].text, strlen(keys[i].text), shown, sizeof shown), keys[i - 1].line + 1);
        }
    for (size_t i = 0; i < count; i++)
        free(keys[i].text);
    check->key_count = first;
    return r;
}

/* A tab among the blanks at the start of a line: what an editor put there, and YAML forbids. */
static bool tab_indents(const char *data, size_t size, size_t line)
{
    const char *at = data, *end = data + size;
    for (; line > 0 && at < end; line--) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        at = newline ? newline + 1 : end;
    }
    while (at < end && *at == ' ')
        at++;
    return at < end && *at == '\t';
}

static int syntax_error(const yaml_parser_t *parser, const char *data, size_t size, struct pi_error *err)
{
    if (parser->error == YAML_MEMORY_ERROR)
        return pi_fail(err, ENOMEM, "cannot check the YAML");
    if (parser->error == YAML_READER_ERROR)
        return pi_refuse(err, PI_USAGE, "byte %zu: %s: save the file as UTF-8 text",
                         parser->problem_offset + 1, parser->problem);
    size_t line = parser->problem_mark.line;
    if (tab_indents(data, size, line))
        return refuse_at(err, line, 0, "indented with a tab; YAML takes spaces only");
    char what[256];
    snprintf(what, sizeof what, "%s%s%s", parser->problem ? parser->problem : "not YAML",
             parser->context ? " " : "", parser->context ? parser->context : "");
    return refuse_at(err, line, parser->problem_mark.column, what);
}

/* A scalar or a collection begins where a value or a key is due. */
static int node_begins(struct check *check, const yaml_event_t *event, struct pi_error *err)
{
    size_t line = event->start_mark.line, column = event->start_mark.column;
    bool scalar = event->type == YAML_SCALAR_EVENT, alias = event->type == YAML_ALIAS_EVENT;
    if (check->depth == 0) {
        if (event->type == YAML_MAPPING_START_EVENT)
            return 0;
        if (scalar && !event->data.scalar.length)
            return pi_refuse(err, PI_USAGE, "nothing follows the first line: there is no configuration");
        return refuse_at(err, line, column, "the top level must be a mapping ('key: value' lines)");
    }
    struct level *level = &check->levels[check->depth - 1];
    if (!level->mapping)
        return 0;
    bool key = level->at_key;
    level->at_key = !key;
    if (!key || alias)
        return 0;
    if (!scalar)
        return refuse_at(err, line, column, "a key must be plain text (quote it where it holds '{' or '[')");

    const char *text = (const char *)event->data.scalar.value;
    for (size_t i = 0; check->depth == 1 && i < PI_ARRAY_SIZE(reserved); i++)
        if (strcmp(text, reserved[i].key) == 0)
            return pi_refuse(err, PI_USAGE, "line %zu: '%s' is piagent's to set: %s", line + 1, text,
                             reserved[i].advice);
    return key_add(check, text, line) < 0 ? pi_fail(err, ENOMEM, "cannot check the YAML") : 0;
}

static int collection_opens(struct check *check, bool mapping, size_t line, struct pi_error *err)
{
    if (check->depth == SEED_YAML_DEPTH_MAX)
        return pi_refuse(err, PI_USAGE, "line %zu: more than %d levels deep", line + 1, SEED_YAML_DEPTH_MAX);
    check->levels[check->depth++] =
        (struct level){.mapping = mapping, .at_key = true, .first_key = check->key_count};
    return 0;
}

static int anchor_add(struct check *check, const yaml_char_t *anchor, size_t line, struct pi_error *err)
{
    if (!anchor)
        return 0;
    if (check->anchors.count == ANCHORS_MAX)
        return pi_refuse(err, PI_USAGE, "line %zu: more than %d anchors", line + 1, ANCHORS_MAX);
    return pi_strv_add(&check->anchors, (const char *)anchor) < 0
               ? pi_fail(err, ENOMEM, "cannot check the YAML")
               : 0;
}

static int alias_check(const struct check *check, const yaml_event_t *event, struct pi_error *err)
{
    const char *name = (const char *)event->data.alias.anchor;
    for (size_t i = 0; i < check->anchors.count; i++)
        if (strcmp(check->anchors.items[i], name) == 0)
            return 0;
    return refuse_at(err, event->start_mark.line, event->start_mark.column,
                     "there is no anchor of this name (a '*' at the start of a text needs quotes)");
}

static int event_check(struct check *check, const yaml_event_t *event, struct pi_error *err)
{
    size_t line = event->start_mark.line;
    int r = 0;
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return ++check->documents == 1 ? 0 : refuse_at(err, line, 0, "a second document starts ('---')");
    case YAML_MAPPING_END_EVENT:
        check->depth--;
        return keys_close(check, check->levels[check->depth].first_key, err);
    case YAML_SEQUENCE_END_EVENT:
        check->depth--;
        return 0;
    case YAML_SCALAR_EVENT:
        r = node_begins(check, event, err);
        return r < 0 ? r : anchor_add(check, event->data.scalar.anchor, line, err);
    case YAML_ALIAS_EVENT:
        r = node_begins(check, event, err);
        return r < 0 ? r : alias_check(check, event, err);
    case YAML_MAPPING_START_EVENT:
        r = node_begins(check, event, err);
        if (r == 0)
            r = anchor_add(check, event->data.mapping_start.anchor, line, err);
        return r < 0 ? r : collection_opens(check, true, line, err);
    case YAML_SEQUENCE_START_EVENT:
        r = node_begins(check, event, err);
        if (r == 0)
            r = anchor_add(check, event->data.sequence_start.anchor, line, err);
        return r < 0 ? r : collection_opens(check, false, line, err);
    default:
        return 0;
    }
}

int seed_yaml_check(const char *data, size_t size, struct pi_error *err)
{
    pi_auto(yaml_parser_delete) yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return pi_fail(err, ENOMEM, "cannot check the YAML");
    yaml_parser_set_input_string(&parser, (const unsigned char *)data, size);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);

    pi_auto(check_done) struct check check = {0};
    for (bool end = false; !end;) {
        pi_auto(yaml_event_delete) yaml_event_t event = {0};
        if (!yaml_parser_parse(&parser, &event))
            return syntax_error(&parser, data, size, err);
        if (++check.events > SEED_YAML_EVENTS_MAX)
            return pi_refuse(err, PI_USAGE, "more than %d keys and values", SEED_YAML_EVENTS_MAX);
        int r = event_check(&check, &event, err);
        if (r < 0)
            return r;
        end = event.type == YAML_STREAM_END_EVENT;
    }
    return check.documents
               ? 0
               : pi_refuse(err, PI_USAGE, "nothing follows the first line: there is no configuration");
}
