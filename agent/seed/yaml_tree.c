/* SPDX-License-Identifier: MIT */
#include "agent/seed/yaml_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void tree_error_at(struct seed_tree *tree, const yaml_mark_t *mark, const char *remedy,
                          const char *what)
{
    seed_findings_addf(tree->findings, SEED_ERROR, mark->line + 1, mark->column + 1, NULL, remedy, "%s",
                       what);
}

static void bound_passed(struct seed_tree *tree, const yaml_mark_t *mark, int most, const char *what)
{
    seed_findings_addf(tree->findings, SEED_ERROR, mark->line + 1, 0, NULL, NULL, "more than %d %s", most,
                       what);
    tree->over = true;
}

static const struct seed_node *anchor_find(const struct seed_tree *tree, const char *name)
{
    for (size_t i = 0; i < tree->anchors; i++)
        if (strcmp(tree->anchored[i]->anchor, name) == 0)
            return tree->anchored[i];
    return NULL;
}

static int anchor_set(struct seed_tree *tree, struct seed_node *node, const yaml_char_t *anchor,
                      const yaml_mark_t *mark)
{
    const char *name = (const char *)anchor;
    if (!name)
        return 0;
    if (tree->anchors == SEED_YAML_ANCHORS_MAX) {
        bound_passed(tree, mark, SEED_YAML_ANCHORS_MAX, "anchors");
        return 0;
    }
    if (anchor_find(tree, name)) /* YAML and libyaml allow this, PyYAML does not */
        tree_error_at(tree, mark, "give it another name", "an anchor of this name is there already");
    node->anchor = strdup(name);
    if (!node->anchor)
        return -ENOMEM;
    tree->anchored[tree->anchors++] = node;
    return 0;
}

/* Appends a node to the open collection, or makes it the root. NULL without memory. */
static struct seed_node *node_add(struct seed_tree *tree, enum seed_type type, const yaml_mark_t *mark)
{
    struct seed_node *node = calloc(1, sizeof *node), *parent = tree->open;
    if (!node)
        return NULL;
    *node = (struct seed_node){.type = type,
                               .line = mark->line + 1,
                               .column = mark->column + 1,
                               .parent = parent,
                               .older = tree->newest};
    tree->newest = node;
    if (!parent)
        tree->root = node;
    else if (parent->last)
        parent->last->next = node;
    else
        parent->first = node;
    if (parent) {
        parent->last = node;
        parent->count++;
    }
    return node;
}

static int tag_set(struct seed_node *node, const yaml_char_t *tag)
{
    node->tag = tag ? strdup((const char *)tag) : NULL;
    return tag && !node->tag ? -ENOMEM : 0;
}

static int scalar_add(struct seed_tree *tree, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    bool plain = event->data.scalar.plain_implicit;
    struct seed_node *node = node_add(tree, plain ? seed_scalar_type(text) : SEED_TEXT, &event->start_mark);
    if (!node || !(node->text = strdup(text)) || tag_set(node, event->data.scalar.tag) < 0)
        return -ENOMEM;
    node->plain = plain && !node->tag;
    return anchor_set(tree, node, event->data.scalar.anchor, &event->start_mark);
}

static int collection_add(struct seed_tree *tree, enum seed_type type, const yaml_event_t *event)
{
    bool map = type == SEED_MAP;
    const yaml_char_t *tag = map ? event->data.mapping_start.tag : event->data.sequence_start.tag;
    const yaml_char_t *anchor = map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
    if (tree->depth == SEED_YAML_DEPTH_MAX) {
        bound_passed(tree, &event->start_mark, SEED_YAML_DEPTH_MAX, "levels deep");
        return 0;
    }
    struct seed_node *node = node_add(tree, type, &event->start_mark);
    if (!node || tag_set(node, tag) < 0)
        return -ENOMEM;
    tree->open = node;
    tree->depth++;
    return anchor_set(tree, node, anchor, &event->start_mark);
}

static int alias_add(struct seed_tree *tree, const yaml_event_t *event)
{
    const struct seed_node *target = anchor_find(tree, (const char *)event->data.alias.anchor);
    struct seed_node *node = node_add(tree, target ? target->type : SEED_NULL, &event->start_mark);
    if (!node)
        return -ENOMEM;
    node->target = target;
    if (!target)
        tree_error_at(tree, &event->start_mark, "text that starts with '*' needs quotes",
                      "there is no anchor of this name");
    return 0;
}

static void collection_end(struct seed_tree *tree)
{
    tree->open->whole = true;
    tree->open = tree->open->parent;
    tree->depth--;
}

int seed_tree_add(struct seed_tree *tree, const yaml_event_t *event)
{
    if (++tree->events > SEED_YAML_EVENTS_MAX) {
        bound_passed(tree, &event->start_mark, SEED_YAML_EVENTS_MAX, "keys and values");
        return 0;
    }
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (++tree->documents > 1) {
            tree_error_at(tree, &event->start_mark, "one is allowed: remove the '---'",
                          "a second document starts");
            tree->over = true;
        }
        return 0;
    case YAML_SCALAR_EVENT:
        return scalar_add(tree, event);
    case YAML_ALIAS_EVENT:
        return alias_add(tree, event);
    case YAML_MAPPING_START_EVENT:
        return collection_add(tree, SEED_MAP, event);
    case YAML_SEQUENCE_START_EVENT:
        return collection_add(tree, SEED_LIST, event);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        collection_end(tree);
        return 0;
    default:
        return 0;
    }
}

void seed_tree_done(struct seed_tree *tree)
{
    for (struct seed_node *node = tree->newest, *older; node; node = older) {
        older = node->older;
        free(node->text);
        free(node->tag);
        free(node->anchor);
        free(node);
    }
}

const struct seed_node *seed_node_target(const struct seed_node *node)
{
    return node->target ? node->target : node;
}

bool seed_node_is_merge(const struct seed_node *key)
{
    return key->plain && key->text && strcmp(key->text, "<<") == 0;
}
