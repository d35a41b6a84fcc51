/* SPDX-License-Identifier: MIT */
#include "agent/seed/yaml_check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "agent/base/auto.h"
#include "agent/seed/pyyaml.h"
#include "agent/seed/reserved.h"
#include "agent/seed/schema.h"
#include "agent/seed/yaml_syntax.h"
#include "agent/seed/yaml_tabs.h"

static int key_compare(const void *a, const void *b)
{
    const struct seed_node *x = *(const struct seed_node *const *)a, *y = *(const struct seed_node *const *)b;
    int order = strcmp(x->text, y->text);
    return order ? order : (x->line > y->line) - (x->line < y->line);
}

/* "users[0].name" */
static void key_path(const char *path, const char *key, char ret[96])
{
    snprintf(ret, 96, "%.60s%s%.32s", path, path[0] ? "." : "", key);
}

/* No key may occur twice in a mapping. path is the mapping's; "" for the document's. */
static int keys_check(const struct seed_node *map, const char *path, struct seed_findings *findings)
{
    size_t count = 0;
    char where[96];
    pi_auto_free const struct seed_node **keys = map->count > 2 ? calloc(map->count, sizeof *keys) : NULL;
    if (!keys)
        return map->count > 2 ? -ENOMEM : 0;
    for (const struct seed_node *key = map->first; key; key = key->next ? key->next->next : NULL)
        if (key->text && !seed_node_is_merge(key))
            keys[count++] = key;
    qsort(keys, count, sizeof *keys, key_compare);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(keys[i - 1]->text, keys[i]->text) != 0)
            continue;
        key_path(path, keys[i]->text, where);
        seed_findings_addf(findings, SEED_ERROR, keys[i]->line, keys[i]->column, where,
                           "keep one of them: the last one would win",
                           "the key is there already, in line %zu", keys[i - 1]->line);
    }
    return 0;
}

static int check_below(const struct seed_node *node, const char *path, struct seed_findings *findings)
{
    bool map = node->type == SEED_MAP && !node->target;
    char below[96], number[24];
    size_t i = 0;
    int r = map ? keys_check(node, path, findings) : 0;
    for (const struct seed_node *item = node->first; r == 0 && item; item = item->next, i++) {
        snprintf(number, sizeof number, "[%zu]", i);
        if (map && i % 2 == 0)
            key_path(path, item->text ? item->text : "?", below);
        else if (!map)
            snprintf(below, sizeof below, "%.70s%s", path, number);
        r = check_below(item, below, findings);
    }
    return r;
}

int seed_yaml_keys_check(const struct seed_node *node, struct seed_findings *findings)
{
    return check_below(node, "", findings);
}

int seed_yaml_read(const char *data, size_t size, bool pyyaml, struct seed_tree *tree)
{
    pi_auto(yaml_parser_delete) yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return -ENOMEM;
    yaml_parser_set_input_string(&parser, (const unsigned char *)data, size);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    struct seed_tabs tabs = {.data = data, .size = size, .findings = tree->findings};
    for (bool end = false; !end && !tree->over;) {
        pi_auto(yaml_event_delete) yaml_event_t event = {0};
        if (!yaml_parser_parse(&parser, &event))
            return seed_yaml_syntax(&parser, data, size, tree->findings);
        if (pyyaml)
            seed_tabs_event(&tabs, &event);
        int r = seed_tree_add(tree, &event);
        if (r < 0)
            return r;
        end = event.type == YAML_STREAM_END_EVENT;
    }
    return 0;
}

/* The top level of a cloud-config is one mapping. */
static bool top_level_check(const struct seed_tree *tree)
{
    const struct seed_node *root = tree->root;
    if (root && root->type == SEED_MAP)
        return true;
    if (root && root->type != SEED_NULL)
        seed_findings_addf(tree->findings, SEED_ERROR, root->line, root->column, NULL,
                           "write 'key: value' lines", "the top level must be a mapping");
    else if (!tree->findings->errors)
        seed_findings_addf(tree->findings, SEED_ERROR, 0, 0, NULL, NULL,
                           "nothing follows the first line: there is no configuration");
    return false;
}

int seed_yaml_check(const char *data, size_t size, struct seed_findings *findings)
{
    pi_auto(seed_tree_done) struct seed_tree tree = {.findings = findings};
    int r = seed_yaml_read(data, size, true, &tree);
    if (r < 0)
        return r;
    if (!top_level_check(&tree))
        return 0;
    seed_pyyaml_check(tree.root, findings);
    seed_reserved_check(tree.root, findings);
    r = seed_yaml_keys_check(tree.root, findings);
    return r < 0 ? r : seed_schema_check(tree.root, findings);
}
