/* SPDX-License-Identifier: MIT */
#include "agent/fleet/fleet_file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/fleet/fleet_fault.h"
#include "agent/seed/yaml_check.h"

#define KEYS_MAX       64 /* known in one mapping */
#define WORDS_MAX      512
#define LIST_ITEMS_MAX 64

struct fleet_reader {
    const struct fleet_option *options;
    struct seed_findings *findings;
    struct fleet *fleet;
    struct fleet_entry defaults;
    char path[96];                  /* of the mapping that is read: "instances.node" */
    const struct fleet_entry *full; /* too many words: that was told */
    bool no_memory;
};

struct fleet_pair {
    const struct seed_node *key, *value;
};

__attribute__((format(printf, 5, 6))) static void fault_at(struct fleet_reader *reader,
                                                           const struct seed_node *node, const char *key,
                                                           const char *remedy, const char *format, ...)
{
    char path[sizeof reader->path + 72], message[256];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    snprintf(path, sizeof path, "%s%s%.64s", reader->path, reader->path[0] && key ? "." : "", key ? key : "");
    seed_findings_addf(reader->findings, SEED_ERROR, node->line, node->column, path, remedy, "%s", message);
}

/* Adds room for one more item, zeroed. NULL without memory. */
static void *grow(struct fleet_reader *reader, void **items, size_t *count, size_t size)
{
    char *more = reallocarray(*items, *count + 1, size);
    if (!more) {
        reader->no_memory = true;
        return NULL;
    }
    *items = more;
    return memset(more + (*count)++ * size, 0, size);
}

static char *keep_text(struct fleet_reader *reader, const char *text)
{
    char *copy = strdup(text);
    reader->no_memory |= !copy;
    return copy;
}

static const char *node_kind(const struct seed_node *node)
{
    return node->type == SEED_MAP ? "a mapping" : node->type == SEED_LIST ? "a list" : "a single value";
}

/* The next key and value of a mapping, aliases resolved. Start with *at as the mapping's first item. */
static bool next_pair(struct fleet_reader *reader, const struct seed_node **at, struct fleet_pair *ret)
{
    while (*at && (*at)->next) {
        const struct seed_node *key = *at;
        *ret = (struct fleet_pair){key, seed_node_target(key->next)};
        *at = key->next->next;
        if (key->text && !seed_node_is_merge(key))
            return true;
        fault_at(reader, key, NULL, key->text ? "write the values under defaults" : NULL,
                 key->text ? "'<<' is not possible here" : "a key has to be text");
    }
    return false;
}

/* The text ends within it, at what is no YAML: its items may not be what was meant. */
static bool is_cut(const struct seed_node *node)
{
    return (node->type == SEED_MAP || node->type == SEED_LIST) && !node->whole;
}

/* The first item of a mapping; NULL if it is empty, or, with a fault, something else. */
static const struct seed_node *mapping_of(struct fleet_reader *reader, const struct fleet_pair *pair)
{
    if (pair->value->type == SEED_MAP)
        return pair->value->first;
    if (pair->value->type != SEED_NULL)
        fault_at(reader, pair->key, pair->key->text, "write 'key: value' in it", "this is %s, not a mapping",
                 node_kind(pair->value));
    return NULL;
}

/* NULL, with a fault, if it is no scalar, or an empty one. */
static const char *text_of_pair(struct fleet_reader *reader, const struct fleet_pair *pair)
{
    if (pair->value->text && pair->value->text[0])
        return pair->value->text;
    fault_at(reader, pair->key, pair->key->text, NULL, "this is %s, not text",
             pair->value->text ? "empty" : node_kind(pair->value));
    return NULL;
}

static void enter(struct fleet_reader *reader, const char *name)
{
    size_t used = strlen(reader->path);
    snprintf(reader->path + used, sizeof reader->path - used, "%s%.63s", used ? "." : "", name);
}

static void leave(struct fleet_reader *reader, const char *before)
{
    reader->path[strlen(before)] = '\0';
}

/* The keys that a mapping may have: these, and the options. */
static void unknown_key(struct fleet_reader *reader, const struct seed_node *key, const char *const *own,
                        bool options)
{
    const char *names[KEYS_MAX + 1] = {NULL};
    char list[96] = "piagent help fleet lists the keys", suggestion[PI_SUGGESTION_SIZE];
    size_t count = 0;
    while (*own)
        names[count++] = *own++;
    for (const struct fleet_option *o = reader->options; options && o->name && count < KEYS_MAX; o++)
        names[count++] = o->name;
    for (size_t i = 0, used = 0; !options && i < count && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "it may be ", names[i]);
    fault_at(reader, key, key->text, pi_suggest(key->text, names, list, suggestion), "an unknown key");
}

static bool good_name(struct fleet_reader *reader, const struct seed_node *node, const char *key,
                      const char *name)
{
    struct pi_error err = {0};
    if (pi_name_check(name, &err) == 0)
        return true;
    fault_at(reader, node, key, NULL, "%s", err.text);
    return false;
}

static void add_word(struct fleet_reader *reader, struct fleet_entry *entry,
                     const struct fleet_option *option, const char *value, size_t line)
{
    if (entry->word_count == WORDS_MAX) {
        if (reader->full != entry)
            seed_findings_addf(reader->findings, SEED_ERROR, line, 0, reader->path, NULL,
                               "more than %d options, an item of a list is one", WORDS_MAX);
        reader->full = entry;
        return;
    }
    struct fleet_word *word = grow(reader, (void **)&entry->words, &entry->word_count, sizeof *entry->words);
    if (word)
        *word = (struct fleet_word){
            .option = option, .value = value ? keep_text(reader, value) : NULL, .line = line};
}

static void add_flag(struct fleet_reader *reader, struct fleet_entry *entry,
                     const struct fleet_option *option, const struct fleet_pair *pair)
{
    static const char yes[] = "yYtToO"; /* yes, true, on; of off, which has the o too, the second is an f */
    const char *text = pair->value->text;
    if (pair->value->type != SEED_BOOL)
        fault_at(reader, pair->key, pair->key->text, NULL, "it is true or false");
    else if (strchr(yes, text[0]) && text[1] != 'f' && text[1] != 'F')
        add_word(reader, entry, option, NULL, pair->key->line);
}

static void add_list(struct fleet_reader *reader, struct fleet_entry *entry,
                     const struct fleet_option *option, const struct fleet_pair *pair)
{
    size_t count = 0;
    for (const struct seed_node *item = pair->value->first; item; item = item->next) {
        const struct seed_node *value = seed_node_target(item);
        if (!value->text)
            fault_at(reader, item, pair->key->text, NULL, "an item is %s, not text", node_kind(value));
        else if (++count <= LIST_ITEMS_MAX)
            add_word(reader, entry, option, value->text, item->line);
    }
    if (count > LIST_ITEMS_MAX)
        fault_at(reader, pair->key, pair->key->text, NULL, "more than %d items", LIST_ITEMS_MAX);
}

/* {rack: b2} is what rack=b2 is. */
static void add_mapping(struct fleet_reader *reader, struct fleet_entry *entry,
                        const struct fleet_option *option, const struct fleet_pair *pair)
{
    const struct seed_node *at = pair->value->first;
    size_t count = 0;
    for (struct fleet_pair item; next_pair(reader, &at, &item);) {
        const char *value = item.value->text;
        pi_auto_free char *text = NULL;
        if (!value)
            fault_at(reader, item.key, pair->key->text, NULL, "'%.64s' is %s, not text", item.key->text,
                     node_kind(item.value));
        else if (asprintf(&text, "%s=%s", item.key->text, value) < 0)
            reader->no_memory = true;
        else if (++count <= LIST_ITEMS_MAX)
            add_word(reader, entry, option, text, item.key->line);
    }
    if (count > LIST_ITEMS_MAX)
        fault_at(reader, pair->key, pair->key->text, NULL, "more than %d items", LIST_ITEMS_MAX);
}

static void read_option(struct fleet_reader *reader, struct fleet_entry *entry,
                        const struct fleet_option *option, const struct fleet_pair *pair)
{
    const struct seed_node *value = pair->value;
    bool list = option->value == FLEET_VALUE_LIST || option->value == FLEET_VALUE_MAP;
    if (value->type == SEED_NULL)
        return;
    if (option->value == FLEET_VALUE_FLAG)
        add_flag(reader, entry, option, pair);
    else if (value->text)
        add_word(reader, entry, option, value->text, value->line);
    else if (value->type == SEED_LIST && list)
        add_list(reader, entry, option, pair);
    else if (value->type == SEED_MAP && option->value == FLEET_VALUE_MAP)
        add_mapping(reader, entry, option, pair);
    else
        fault_at(reader, pair->key, pair->key->text, NULL, "this is %s, not %s", node_kind(value),
                 list ? "text or a list" : "text");
}

static const struct fleet_option *option_named(const struct fleet_reader *reader, const char *name)
{
    for (const struct fleet_option *o = reader->options; o->name; o++)
        if (!strcmp(o->name, name))
            return o;
    return NULL;
}

static void read_count(struct fleet_reader *reader, struct fleet_entry *entry, const struct fleet_pair *pair)
{
    struct pi_error err = {0};
    uint64_t count = 0;
    const char *text = text_of_pair(reader, pair);
    if (text && pi_number_parse(text, 1, VM_FLEET_COUNT_MAX, &count, &err) < 0)
        fault_at(reader, pair->key, pair->key->text, NULL, "%s", err.text);
    entry->count = (unsigned)count;
}

static bool refuse_plain_after(struct fleet_reader *reader, const struct fleet_pair *pair)
{
    const struct seed_node *value = pair->value;
    char remedy[128];
    if (value->type == SEED_LIST && value->first)
        value = seed_node_target(value->first);
    bool plain = value->text && value->text[0] && value->type != SEED_NULL;
    if (plain) {
        snprintf(remedy, sizeof remedy, "write after: {%.63s: ready}, or started in place of ready",
                 value->text);
        fault_at(reader, pair->key, "after", remedy, "it does not say what to wait for");
    }
    return plain;
}

static void read_after(struct fleet_reader *reader, struct fleet_entry *entry, const struct fleet_pair *pair)
{
    const struct seed_node *at = refuse_plain_after(reader, pair) ? NULL : mapping_of(reader, pair);
    for (struct fleet_pair item; next_pair(reader, &at, &item);) {
        const char *word = item.value->text ? item.value->text : "";
        if (strcmp(word, "ready") != 0 && strcmp(word, "started") != 0) {
            fault_at(reader, item.key, "after", NULL, "%.64s: it is 'ready' or 'started'", item.key->text);
            continue;
        }
        if (!good_name(reader, item.key, "after", item.key->text))
            continue;
        if (entry->after_count == VM_FLEET_AFTER_MAX) {
            fault_at(reader, item.key, "after", NULL, "more than %d entries", VM_FLEET_AFTER_MAX);
            break;
        }
        struct fleet_after *after =
            grow(reader, (void **)&entry->after, &entry->after_count, sizeof *entry->after);
        if (!after)
            continue;
        snprintf(after->entry, sizeof after->entry, "%s", item.key->text);
        after->ready = word[0] == 'r';
        after->line = item.key->line;
    }
}

/* Reads the items of an entry's mapping; own_keys: also those that are no options. */
static void read_options(struct fleet_reader *reader, struct fleet_entry *entry, const struct seed_node *at,
                         bool own_keys)
{
    static const char *const own[] = {"count", "after", NULL}, *const none[] = {NULL};
    for (struct fleet_pair pair; next_pair(reader, &at, &pair);) {
        const char *key = pair.key->text;
        const struct fleet_option *option = option_named(reader, key);
        if (option)
            read_option(reader, entry, option, &pair);
        else if (own_keys && !strcmp(key, "count"))
            read_count(reader, entry, &pair);
        else if (own_keys && !strcmp(key, "after"))
            read_after(reader, entry, &pair);
        else
            unknown_key(reader, pair.key, own_keys ? own : none, true);
    }
}

static bool mapping_has(const struct seed_node *at, const char *name)
{
    for (; at && at->next; at = at->next->next)
        if (at->text && !strcmp(at->text, name))
            return true;
    return false;
}

/* first: the items of the entry's own mapping. Their keys replace those of the defaults. */
static void take_defaults(struct fleet_reader *reader, struct fleet_entry *entry,
                          const struct seed_node *first)
{
    for (size_t i = 0; i < reader->defaults.word_count; i++) {
        const struct fleet_word *word = &reader->defaults.words[i];
        if (mapping_has(first, word->option->name))
            continue;
        size_t before = entry->word_count;
        add_word(reader, entry, word->option, word->value, word->line);
        if (entry->word_count > before)
            entry->words[before].of_defaults = true;
    }
}

static void free_entry(struct fleet_entry *entry)
{
    for (size_t i = 0; i < entry->word_count; i++)
        free(entry->words[i].value);
    free(entry->words);
    free(entry->after);
}

static void read_entries(struct fleet_reader *reader, const struct fleet_pair *instances)
{
    const struct seed_node *at = mapping_of(reader, instances);
    struct fleet *fleet = reader->fleet;
    char before[sizeof reader->path];
    if (!at && !is_cut(instances->value) && instances->value->type & (SEED_NULL | SEED_MAP))
        fault_at(reader, instances->key, instances->key->text, NULL, "there is no instance in it");
    enter(reader, instances->key->text);
    for (struct fleet_pair pair; next_pair(reader, &at, &pair) && !reader->no_memory;) {
        if (is_cut(pair.value))
            continue;
        if (fleet->entry_count == FLEET_ENTRIES_MAX) {
            fault_at(reader, pair.key, NULL, "use count", "more than %d entries", FLEET_ENTRIES_MAX);
            break;
        }
        const struct seed_node *first = mapping_of(reader, &pair);
        if (!good_name(reader, pair.key, NULL, pair.key->text))
            continue;
        struct fleet_entry *entry =
            grow(reader, (void **)&fleet->entries, &fleet->entry_count, sizeof *fleet->entries);
        if (!entry)
            break;
        snprintf(entry->name, sizeof entry->name, "%s", pair.key->text);
        entry->line = pair.key->line;
        snprintf(before, sizeof before, "%s", reader->path);
        enter(reader, entry->name);
        read_options(reader, entry, first, true);
        take_defaults(reader, entry, first);
        leave(reader, before);
    }
    leave(reader, "");
}

static void read_network(struct fleet_reader *reader, struct fleet_network *network,
                         const struct seed_node *at)
{
    static const char *const keys[] = {"subnet", NULL};
    for (struct fleet_pair pair; next_pair(reader, &at, &pair);) {
        const char *text;
        if (strcmp(pair.key->text, "subnet") != 0)
            unknown_key(reader, pair.key, keys, false);
        else if (!network->text && (text = text_of_pair(reader, &pair)))
            network->text = keep_text(reader, text);
    }
}

static void read_networks(struct fleet_reader *reader, const struct fleet_pair *networks)
{
    const struct seed_node *at = mapping_of(reader, networks);
    struct fleet *fleet = reader->fleet;
    char before[sizeof reader->path];
    enter(reader, networks->key->text);
    for (struct fleet_pair pair; next_pair(reader, &at, &pair) && !reader->no_memory;) {
        if (is_cut(pair.value))
            continue;
        const struct seed_node *first = mapping_of(reader, &pair);
        if (!good_name(reader, pair.key, NULL, pair.key->text))
            continue;
        if (strlen(pair.key->text) > VM_NETWORK_NAME_MAX)
            fault_at(reader, pair.key, pair.key->text, NULL, "a network's name has at most %d characters",
                     VM_NETWORK_NAME_MAX);
        if (fleet->network_count == FLEET_NETWORKS_MAX) {
            fault_at(reader, pair.key, NULL, NULL, "more than %d networks", FLEET_NETWORKS_MAX);
            break;
        }
        struct fleet_network *network =
            grow(reader, (void **)&fleet->networks, &fleet->network_count, sizeof *fleet->networks);
        if (!network)
            break;
        snprintf(network->name, sizeof network->name, "%s", pair.key->text);
        network->line = pair.key->line;
        snprintf(before, sizeof before, "%s", reader->path);
        enter(reader, network->name);
        read_network(reader, network, first);
        leave(reader, before);
    }
    leave(reader, "");
}

/* "dir/my.fleet.yaml" makes "my.fleet": a name has no dot, so only a file that is called so needs name. */
static void name_after_file(struct fleet_reader *reader, const struct seed_node *root, const char *path)
{
    struct fleet *fleet = reader->fleet;
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path, *dot = strrchr(base, '.');
    size_t length = dot && dot > base ? (size_t)(dot - base) : strlen(base);
    struct pi_error err = {0};
    snprintf(fleet->name, sizeof fleet->name, "%.*s", (int)(length < PI_NAME_MAX ? length : PI_NAME_MAX),
             base);
    if (pi_name_check(fleet->name, &err) < 0)
        fault_at(reader, root, NULL, "add 'name: NAME'", "the file's name cannot be the fleet's: %s",
                 err.text);
}

static void read_top(struct fleet_reader *reader, const struct seed_node *root, const char *path)
{
    static const char *const keys[] = {"name", "defaults", "networks", "instances", NULL};
    struct fleet_pair name = {0}, defaults = {0}, networks = {0}, instances = {0}, pair;
    struct fleet_pair *const places[] = {&name, &defaults, &networks, &instances};
    for (const struct seed_node *at = root->first; next_pair(reader, &at, &pair);) {
        size_t i = 0;
        while (keys[i] && strcmp(keys[i], pair.key->text) != 0)
            i++;
        if (keys[i])
            *places[i] = pair;
        else
            unknown_key(reader, pair.key, keys, false);
    }
    const char *given = name.key ? text_of_pair(reader, &name) : NULL;
    if (given && good_name(reader, name.key, "name", given))
        snprintf(reader->fleet->name, sizeof reader->fleet->name, "%s", given);
    else if (!name.key && !is_cut(root))
        name_after_file(reader, root, path);
    if (defaults.key && !is_cut(defaults.value)) {
        enter(reader, "defaults");
        read_options(reader, &reader->defaults, mapping_of(reader, &defaults), false);
        leave(reader, "");
    }
    if (networks.key)
        read_networks(reader, &networks);
    if (instances.key)
        read_entries(reader, &instances);
    else if (!is_cut(root))
        fault_at(reader, root, NULL, "write 'instances:' with an entry for each", "it names no instances");
}

static bool is_same_host(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

static void find_hosts(struct fleet_reader *reader)
{
    struct fleet *fleet = reader->fleet;
    for (size_t i = 0; i < fleet->entry_count; i++) {
        struct fleet_entry *entry = &fleet->entries[i];
        size_t at = 0;
        const struct fleet_word *word = fleet_next_word(entry, FLEET_HOST_KEY, &at);
        const char *host = word ? word->value : NULL;
        while (entry->host < fleet->host_count && !is_same_host(fleet->hosts[entry->host], host))
            entry->host++;
        if (entry->host == FLEET_HOSTS_MAX) {
            fleet_entry_fault(reader->findings, entry, FLEET_HOST_KEY, word ? word->line : entry->line, NULL,
                              "more than %d hosts", FLEET_HOSTS_MAX);
            entry->host = 0;
        } else if (entry->host == fleet->host_count) {
            fleet->hosts[fleet->host_count++] = host;
        }
    }
}

int fleet_read(const char *data, size_t size, const char *path, const struct fleet_option *options,
               struct seed_findings *findings, struct fleet *ret)
{
    pi_auto(seed_tree_done) struct seed_tree tree = {.findings = findings};
    pi_auto_fleet struct fleet fleet = {0};
    struct fleet_reader reader = {.options = options, .findings = findings, .fleet = &fleet};
    int r = seed_yaml_read(data, size, false, &tree);
    if (r < 0)
        return r;
    if (tree.root && tree.root->type == SEED_MAP) {
        fleet.whole = !is_cut(tree.root);
        r = seed_yaml_keys_check(tree.root, findings);
        read_top(&reader, tree.root, path);
        find_hosts(&reader);
    } else if (!findings->errors) {
        seed_findings_addf(findings, SEED_ERROR, tree.root ? tree.root->line : 0, 0, NULL,
                           "it has a mapping with 'instances:', see piagent help fleet",
                           "this is not the file of a fleet");
    }
    free_entry(&reader.defaults);
    if (r < 0 || reader.no_memory)
        return -ENOMEM;
    *ret = fleet;
    fleet = (struct fleet){0};
    return 0;
}

void fleet_done(struct fleet *fleet)
{
    for (size_t i = 0; i < fleet->entry_count; i++)
        free_entry(&fleet->entries[i]);
    for (size_t i = 0; i < fleet->network_count; i++)
        free(fleet->networks[i].text);
    free(fleet->entries);
    free(fleet->networks);
    *fleet = (struct fleet){0};
}

unsigned fleet_entry_size(const struct fleet_entry *entry)
{
    return entry->count ? entry->count : 1;
}

void fleet_instance_name(const struct fleet_entry *entry, unsigned index, char ret[PI_NAME_MAX + 1])
{
    char number[16] = "";
    if (entry->count)
        snprintf(number, sizeof number, "-%u", index);
    snprintf(ret, PI_NAME_MAX + 1, "%.*s%s", PI_NAME_MAX - (int)strlen(number), entry->name, number);
}

const struct fleet_entry *fleet_entry_named(const struct fleet *fleet, const char *name)
{
    for (size_t i = 0; i < fleet->entry_count; i++)
        if (!strcmp(fleet->entries[i].name, name))
            return &fleet->entries[i];
    return NULL;
}

const struct fleet_network *fleet_network_named(const struct fleet *fleet, const char *name)
{
    for (size_t i = 0; i < fleet->network_count; i++)
        if (!strcmp(fleet->networks[i].name, name))
            return &fleet->networks[i];
    return NULL;
}

static bool uses_network(const struct fleet_entry *entry, const char *name)
{
    const struct fleet_word *word;
    struct vm_network_use use;
    for (size_t at = 0; (word = fleet_next_word(entry, "network", &at));)
        if (vm_network_use_parse(word->value, &use, NULL) == 0 && !use.bridge && !strcmp(use.name, name))
            return true;
    return false;
}

bool fleet_network_is_on(const struct fleet *fleet, const struct fleet_network *network, size_t host)
{
    bool used = false, there = false;
    for (size_t i = 0; i < fleet->entry_count; i++)
        if (uses_network(&fleet->entries[i], network->name)) {
            used = true;
            there = there || fleet->entries[i].host == host;
        }
    return used ? there : host == 0;
}

bool fleet_network_spans(const struct fleet *fleet, const struct fleet_network *network)
{
    size_t hosts = 0;
    for (size_t i = 0; i < fleet->host_count; i++)
        hosts += fleet_network_is_on(fleet, network, i);
    return hosts > 1;
}

const char *fleet_host_text(const struct fleet *fleet, size_t host)
{
    const char *name = fleet->hosts[host] ? fleet->hosts[host] : fleet->here;
    return name ? name : "this host";
}

const struct fleet_word *fleet_next_word(const struct fleet_entry *entry, const char *option, size_t *at)
{
    while (*at < entry->word_count) {
        const struct fleet_word *word = &entry->words[(*at)++];
        if (!strcmp(word->option->name, option))
            return word;
    }
    return NULL;
}
