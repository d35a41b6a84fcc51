/* SPDX-License-Identifier: MIT */
#include "agent/seed/pyyaml.h"

#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"
#include "agent/seed/secret.h"

#define TAG_PREFIX "tag:yaml.org,2002:"
#define DROPPED    ": cloud-init drops the whole file"

/* SafeConstructor's tags, and the one that cloud-init adds (safeyaml.py), with the nodes that each
 * accepts. */
static const struct {
    const char *name;
    unsigned nodes;       /* SEED_SCALARS, SEED_LIST or SEED_MAP */
    enum seed_type value; /* to convert a scalar to; SEED_NULL = accepts any; SEED_TEXT = base64 */
    bool pairs;           /* the items are mappings of one key each */
} tags[] = {
    {.name = "null", .nodes = SEED_SCALARS, .value = SEED_NULL},
    {.name = "bool", .nodes = SEED_SCALARS, .value = SEED_BOOL},
    {.name = "int", .nodes = SEED_SCALARS, .value = SEED_INTEGER},
    {.name = "float", .nodes = SEED_SCALARS, .value = SEED_FLOAT},
    {.name = "binary", .nodes = SEED_SCALARS, .value = SEED_TEXT},
    {.name = "timestamp", .nodes = SEED_SCALARS, .value = SEED_DATE},
    {.name = "str", .nodes = SEED_SCALARS, .value = SEED_NULL},
    {.name = "python/unicode", .nodes = SEED_SCALARS, .value = SEED_NULL},
    {.name = "omap", .nodes = SEED_LIST, .pairs = true},
    {.name = "pairs", .nodes = SEED_LIST, .pairs = true},
    {.name = "seq", .nodes = SEED_LIST},
    {.name = "map", .nodes = SEED_MAP},
    {.name = "set", .nodes = SEED_MAP},
};

static void pyyaml_error_at(struct seed_findings *findings, const struct seed_node *node, const char *remedy,
                            const char *what)
{
    seed_findings_addf(findings, SEED_ERROR, node->line, node->column, NULL, remedy, "%s" DROPPED, what);
}

/* Tells if the items are mappings with one key each. */
static bool is_pairs(const struct seed_node *node)
{
    for (const struct seed_node *item = node->first; item; item = item->next)
        if (seed_node_target(item)->type != SEED_MAP || seed_node_target(item)->count != 2)
            return false;
    return true;
}

/* "!" alone has no effect. */
static void tag_check(const struct seed_node *node, bool secret, struct seed_findings *findings)
{
    size_t i = 0;
    if (!node->tag || strcmp(node->tag, "!") == 0)
        return;
    while (i < PI_ARRAY_SIZE(tags) &&
           !(pi_starts_with(node->tag, TAG_PREFIX) && !strcmp(node->tag + strlen(TAG_PREFIX), tags[i].name)))
        i++;
    if (i == PI_ARRAY_SIZE(tags)) {
        seed_findings_addf(
            findings, SEED_ERROR, node->line, node->column, NULL, "text that starts with '!' needs quotes",
            "the tag '%.64s' is not known: cloud-init drops the whole file", secret ? "!..." : node->tag);
        return;
    }
    bool fits = (tags[i].nodes & node->type) != 0;
    if (fits && node->text && tags[i].value == SEED_TEXT)
        fits = seed_scalar_is_base64(node->text);
    else if (fits && node->text)
        fits = seed_scalar_converts(tags[i].value, node->text);
    else if (fits && tags[i].pairs)
        fits = is_pairs(node);
    if (!fits)
        seed_findings_addf(findings, SEED_ERROR, node->line, node->column, NULL, "remove the tag",
                           "its value does not fit the tag '!!%s'" DROPPED, tags[i].name);
}

/* Checks a plain scalar that looks like a value which it cannot be. */
static void plain_check(const struct seed_node *node, bool key, bool secret, struct seed_findings *findings)
{
    double number;
    if (!node->plain)
        return;
    if (!key && (!strcmp(node->text, "=") || !strcmp(node->text, "<<")))
        pyyaml_error_at(findings, node, "put it in quotes",
                        node->text[0] == '=' ? "YAML does not read a plain '=' as text"
                                             : "a plain '<<' is for mappings");
    else if (!seed_scalar_converts(node->type, node->text))
        pyyaml_error_at(findings, node, "put it in quotes, or correct it",
                        node->type == SEED_DATE ? "there is no such date or time" : "this is not a number");
    else if (seed_scalar_base60(node->text, &number)) {
        if (secret)
            seed_findings_addf(findings, SEED_WARNING, node->line, node->column, NULL, "put it in quotes",
                               "YAML reads this in base 60");
        else
            seed_findings_addf(findings, SEED_WARNING, node->line, node->column, NULL, "put it in quotes",
                               "YAML reads %.32s in base 60, as %.15g", node->text, number);
    }
}

static void merge_check(const struct seed_node *value, struct seed_findings *findings)
{
    const struct seed_node *merged = seed_node_target(value);
    bool fits = merged->type == SEED_MAP;
    if (merged->type == SEED_LIST) {
        fits = true;
        for (const struct seed_node *item = merged->first; item; item = item->next)
            fits = fits && seed_node_target(item)->type == SEED_MAP;
    }
    if (!fits)
        pyyaml_error_at(findings, value, "give it an alias ('*name') of a mapping, or quote the '<<'",
                        "'<<' merges mappings only");
}

static void key_check(const struct seed_node *key, struct seed_findings *findings)
{
    if (seed_node_target(key)->type & SEED_SCALARS)
        return;
    pyyaml_error_at(findings, key, "quote it if it holds '{' or '['", "a key must be plain text");
}

static void node_check(const struct seed_node *node, bool key, bool secret, struct seed_findings *findings)
{
    if (node->target)
        return;
    tag_check(node, secret, findings);
    plain_check(node, key, secret, findings);
    bool map = node->type == SEED_MAP, below = secret;
    for (const struct seed_node *item = node->first, *its_key = NULL; item; item = item->next) {
        bool is_key = map && !its_key;
        if (is_key) {
            key_check(item, findings);
            below = secret || (item->text && seed_secret_named(item->text, strlen(item->text)));
        } else if (map && seed_node_is_merge(its_key))
            merge_check(item, findings);
        node_check(item, is_key, below, findings);
        its_key = is_key ? item : NULL;
    }
}

void seed_pyyaml_check(const struct seed_node *root, struct seed_findings *findings)
{
    node_check(root, false, false, findings);
}
