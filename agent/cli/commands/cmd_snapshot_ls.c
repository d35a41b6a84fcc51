/* SPDX-License-Identifier: MIT */
/* "snapshot ls" shows the snapshots of an instance as a tree. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/cli/client/connect.h"
#include "agent/cli/client/instance_view.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/terminal/host_hint.h"
#include "agent/cli/terminal/table.h"

#define TREE_DEPTH_MAX 64 /* as many as an instance may have: parents that go round in a circle end there */

struct snapshot_ls_options {
    bool json;
};

struct snapshot_tree {
    struct api_snapshot *items; /* oldest first */
    size_t count;
    struct libscols_table *table;
};

static int by_age(const void *a, const void *b)
{
    const struct api_snapshot *one = a, *other = b;
    if (one->taken_ms != other->taken_ms)
        return one->taken_ms < other->taken_ms ? -1 : 1;
    return strcmp(one->tag, other->tag);
}

static bool is_listed(const struct snapshot_tree *tree, const char *tag)
{
    for (size_t i = 0; i < tree->count; i++)
        if (!strcmp(tree->items[i].tag, tag))
            return true;
    return false;
}

static int add_snapshot_row(const struct snapshot_tree *tree, const struct api_snapshot *item, unsigned depth)
{
    char tag[TREE_DEPTH_MAX + 64], age[32], disk[32], memory[32];
    memset(tag, '-', depth);
    snprintf(tag + depth, sizeof tag - depth, "%s%s", depth ? " " : "", item->tag);
    const char *const cells[] = {
        tag,
        item->taken_ms ? cli_age(item->taken_ms, age) : NULL,
        pi_size_format(item->disk_bytes, disk),
        item->memory_bytes ? pi_size_format(item->memory_bytes, memory) : NULL,
        item->current ? "the instance has come of it" : item->reason,
    };
    return cli_table_add(tree->table, cells, CLI_PLAIN);
}

/* The snapshots that have come of parent, each with its own below it; NULL: those whose parent is not there. */
static int add_children(const struct snapshot_tree *tree, const char *parent, unsigned depth)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < tree->count && depth < TREE_DEPTH_MAX; i++) {
        const struct api_snapshot *item = &tree->items[i];
        const char *from = item->parent && is_listed(tree, item->parent) ? item->parent : NULL;
        if (parent ? !from || strcmp(from, parent) != 0 : from != NULL)
            continue;
        r = add_snapshot_row(tree, item, depth);
        if (r == 0)
            r = add_children(tree, item->tag, depth + 1);
    }
    return r;
}

static int print_tree(struct snapshot_tree *tree, const json_t *list, struct pi_error *err)
{
    static const struct cli_column columns[] = {
        {"TAG", CLI_LEFT},     {"AGE", CLI_RIGHT}, {"DISK", CLI_RIGHT},
        {"MEMORY", CLI_RIGHT}, {"NOTE", CLI_LEFT}, {0},
    };
    const json_t *one;
    size_t i;
    json_array_foreach(list, i, one) {
        int r = api_read(snapshot, one, &tree->items[i], err);
        if (r < 0)
            return r;
        tree->count++;
    }
    qsort(tree->items, tree->count, sizeof *tree->items, by_age);
    pi_auto_table struct libscols_table *table = cli_table_new(columns, false);
    tree->table = table;
    int r = table ? add_children(tree, NULL, 0) : -ENOMEM;
    return r < 0 ? pi_fail(err, -r, "snapshot ls") : cli_table_print(table, err);
}

static int run_snapshot_ls(const struct cli_call *call, struct pi_error *err)
{
    const struct snapshot_ls_options *options = call->values;
    const char *name = call->operands[0];
    pi_auto_agent struct cli_agent agent = {0};
    json_auto_t *reply = NULL;
    int r = cli_connect(&agent, err);
    if (r == 0)
        r = cli_call_snapshots(&agent, "GET", name, NULL, NULL, &reply, err);
    if (r < 0 || options->json)
        return r < 0 ? r : cli_json_print(reply, err);
    const json_t *list = json_object_get(reply, "snapshots");
    size_t count = json_array_size(list);
    if (!count) {
        cli_note("%s has no snapshot yet: piagent snapshot create %s makes one", name, name);
        return PI_OK;
    }
    struct snapshot_tree tree = {.items = calloc(count, sizeof *tree.items)};
    r = tree.items ? print_tree(&tree, list, err) : pi_fail(err, ENOMEM, "snapshot ls");
    for (size_t i = 0; i < tree.count; i++)
        api_done(snapshot, &tree.items[i]);
    free(tree.items);
    return r;
}

static const struct cli_option snapshot_ls_table[] = {
    {.name = "json", CLI_MEMBER(CLI_FLAG, snapshot_ls_options, json), .help = "as the agent's JSON"},
    {0},
};

const struct cli_command cli_command_snapshot_ls = {
    .name = "snapshot ls",
    .operands = "NAME",
    .summary = "shows the snapshots of an instance, each below the one that it has come of",
    .example = "piagent snapshot ls pi-1",
    .options = snapshot_ls_table,
    .values_size = sizeof(struct snapshot_ls_options),
    .min_operands = 1,
    .max_operands = 1,
    .operand = CLI_MACHINE,
    .run = run_snapshot_ls,
};
