/* SPDX-License-Identifier: MIT */
/* A YAML document as a tree of nodes with their places, within bounds. An alias is one node and is not
 * expanded. */
#ifndef PIAGENT_SEED_YAML_TREE_H
#define PIAGENT_SEED_YAML_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <yaml.h>

#include "agent/seed/findings.h"
#include "agent/seed/yaml_type.h"

/* Bounds of a cloud-config: more is an attack on the parser or a mistake. */
#define SEED_YAML_DEPTH_MAX   64
#define SEED_YAML_EVENTS_MAX  200000
#define SEED_YAML_ANCHORS_MAX 1000

struct seed_node {
    enum seed_type type; /* by the form of a collection, or the text and quotes of a scalar; ignores tags */
    bool plain;          /* a scalar without quotes and tag */
    bool whole;          /* the end of the collection was seen: the text may be invalid before it */
    char *text;          /* of a scalar; else NULL */
    char *tag;           /* as libyaml resolves its handle; NULL = none */
    size_t line, column; /* from 1 */
    const struct seed_node *target; /* of an alias: the node that it names; else NULL */
    struct seed_node *first, *next; /* the items; in a mapping keys and values alternate */
    size_t count;                   /* of the items */
    /* Private. */
    char *anchor;
    struct seed_node *parent, *last, *older;
};

struct seed_tree {
    struct seed_findings *findings; /* borrowed */
    struct seed_node *root;         /* NULL = none, or an empty document */
    size_t documents;
    bool over; /* a bound was passed, or a second document starts: add no more events */
    /* Private. */
    struct seed_node *newest, *open, *anchored[SEED_YAML_ANCHORS_MAX];
    size_t depth, events, anchors;
};

/* Adds an event. Adds a finding if it passes a bound, is an alias without an anchor, uses an anchor's name
 * again, or starts a second document. 0, or -ENOMEM. */
int seed_tree_add(struct seed_tree *tree, const yaml_event_t *event);

void seed_tree_done(struct seed_tree *tree);

/* The node, or the one that it is an alias of. */
const struct seed_node *seed_node_target(const struct seed_node *node);

/* Tells if the node is the key "<<", which merges other mappings into this one. */
bool seed_node_is_merge(const struct seed_node *key);

#endif
