/* SPDX-License-Identifier: MIT */
#include "agent/cli/terminal/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"
#include "agent/cli/terminal/foreign.h"

#define OPTIONS_MAX 32

static const struct cli_option no_options[] = {{0}};

const struct cli_option cli_option_help = {.name = "help", .letter = 'h', .help = "show this"};

const struct cli_option *cli_options(const struct cli_command *command)
{
    return command->options ? command->options : no_options;
}

bool cli_is_hidden(const struct cli_command *command)
{
    return command->name[0] == '_';
}

static const struct cli_option *own_option(const struct cli_command *command, const char *name, size_t length)
{
    for (const struct cli_option *o = cli_options(command); o->name; o++)
        if (strlen(o->name) == length && !strncmp(o->name, name, length))
            return o;
    return NULL;
}

/* The option that other tools call word, with its dashes. */
static const struct cli_option *foreign_option(const struct cli_command *command, const char *word)
{
    const struct cli_foreign *foreign = cli_foreign_option(command, word);
    return foreign && foreign->ours ? own_option(command, foreign->ours, strlen(foreign->ours)) : NULL;
}

const struct cli_option *cli_option_named(const struct cli_command *command, const char *name, size_t length)
{
    char word[64];
    const struct cli_option *o = own_option(command, name, length);
    snprintf(word, sizeof word, "--%.*s", (int)length, name);
    return o ? o : foreign_option(command, word);
}

const struct cli_option *cli_option_lettered(const struct cli_command *command, char letter)
{
    for (const struct cli_option *o = cli_options(command); o->name; o++)
        if (o->letter == letter)
            return o;
    return foreign_option(command, (char[]){'-', letter, '\0'});
}

int cli_find_word(const char *text, const char *const *words, unsigned *ret, struct pi_error *err)
{
    pi_auto_buf struct pi_buf all = {0};
    char suggestion[PI_SUGGESTION_SIZE];
    const char *ours = cli_foreign_value(text, words);
    for (unsigned i = 0; words[i]; i++) {
        if (!strcmp(words[i], ours ? ours : text)) {
            *ret = i;
            return 0;
        }
        if (pi_buf_printf(&all, "%s%s", i ? ", " : "", words[i]) < 0)
            return pi_fail(err, ENOMEM, "words");
    }
    const char *remedy = pi_suggest(text, words, NULL, suggestion);
    return pi_refuse(err, PI_USAGE, "'%.40s' is not one of: %s%s%s", text, all.data, remedy ? "; " : "",
                     remedy ? remedy : "");
}

/* The one name that begins with prefix. If several do, the one that all the others begin with: --memory
 * beside --memory-max. */
static const char *beginning(const char *prefix, const char *const *names)
{
    const char *found = NULL;
    for (; *names; names++) {
        if (!*prefix || !pi_starts_with(*names, prefix))
            continue;
        if (!found || pi_starts_with(found, *names))
            found = *names;
        else if (!pi_starts_with(*names, found))
            return NULL;
    }
    return found;
}

static int unknown(const struct cli_command *command, const char *shown, const char *name,
                   struct pi_error *err)
{
    const char *names[OPTIONS_MAX + 2] = {"help"};
    size_t count = 1;
    const struct cli_foreign *foreign = cli_foreign_option(command, shown);
    if (!strcmp(name, "host"))
        return pi_refuse(err, PI_USAGE,
                         "--host comes before the command: piagent --host ssh://[USER@]HOST %s",
                         command->name);
    if (foreign)
        return pi_refuse(err, PI_USAGE, "%s has no option %s: %s", command->name, shown, foreign->answer);
    for (const struct cli_option *o = cli_options(command); o->name && count <= OPTIONS_MAX; o++)
        names[count++] = o->name;
    const char *nearest = beginning(name, names);
    if (!nearest)
        nearest = pi_nearest(name, names);
    if (nearest)
        return pi_refuse(err, PI_USAGE, "%s has no option %s: did you mean --%s?", command->name, shown,
                         nearest);
    return pi_refuse(err, PI_USAGE, "%s has no option %s: see piagent %s --help", command->name, shown,
                     command->name);
}

static bool is_size(const struct cli_option *option)
{
    return option->type == CLI_SIZE || option->type == CLI_MIB;
}

/* Reads a CLI_SIZE, CLI_MIB, CLI_DURATION or CLI_LIMIT. It refuses 0, which a command could not tell from an option
 * that was not given. */
static int store_amount(const struct cli_option *option, const char *text, uint64_t *ret,
                        struct pi_error *err)
{
    uint64_t amount;
    if (option->type == CLI_LIMIT && !strcmp(text, "none")) {
        *ret = CLI_NEVER;
        return 0;
    }
    int r = is_size(option) ? pi_size_parse(text, &amount, err) : pi_duration_parse(text, &amount, err);
    if (r < 0)
        return r;
    if (!amount && option->type == CLI_LIMIT)
        amount = CLI_NEVER;
    if (!amount)
        return pi_refuse(err, PI_USAGE, "it cannot be 0: leave the option out for its default");
    if (option->type == CLI_MIB && !(amount >>= 20))
        return pi_refuse(err, PI_USAGE, "less than a mebibyte; write it as 512M or 1G");
    *ret = amount;
    return 0;
}

static int store(const struct cli_option *option, char *text, void *values, struct pi_error *err)
{
    void *member = (char *)values + option->offset;
    unsigned index;
    int r = 0;
    switch (option->type) {
    case CLI_FLAG:
        *(bool *)member = true;
        return 0;
    case CLI_STRING:
        if (option->kind == CLI_WORD && (r = cli_find_word(text, option->words, &index, err)) < 0)
            break;
        *(const char **)member = option->kind == CLI_WORD ? option->words[index] : text;
        return 0;
    case CLI_CHOICE:
        r = cli_find_word(text, option->words, member, err);
        break;
    case CLI_NUMBER:
        r = pi_number_parse(text, option->min, option->max, member, err);
        break;
    case CLI_SIZE:
    case CLI_MIB:
    case CLI_DURATION:
    case CLI_LIMIT:
        r = store_amount(option, text, member, err);
        break;
    case CLI_LIST:
        r = pi_strv_add(member, text);
        return r < 0 ? pi_fail(err, -r, "--%s", option->name) : 0;
    }
    return r < 0 ? pi_context(err, r, "--%s", option->name) : 0;
}

struct scan {
    const struct cli_command *command;
    void *values;
    char **argv; /* the words that are left, ends with NULL */
};

/* "--timeout 5 minutes" would be 5 seconds, and an operand. */
static int refuse_split(const struct cli_option *option, const char *value, const char *next,
                        struct pi_error *err)
{
    char both[64];
    uint64_t amount;
    if (!next || (!is_size(option) && option->type != CLI_DURATION && option->type != CLI_LIMIT))
        return 0;
    snprintf(both, sizeof both, "%s %s", value, next);
    int r = is_size(option) ? pi_size_parse(both, &amount, NULL) : pi_duration_parse(both, &amount, NULL);
    return r < 0 ? 0
                 : pi_refuse(err, PI_USAGE, "--%s %s is two words: write --%s %s%s", option->name, both,
                             option->name, value, next);
}

/* Stores an option's value: attached to it, or else the next word. */
static int option_value(struct scan *scan, const struct cli_option *option, char *attached,
                        struct pi_error *err)
{
    if (option->type == CLI_FLAG && attached)
        return pi_refuse(err, PI_USAGE, "--%s takes no value", option->name);
    if (option->type != CLI_FLAG && !attached && !(attached = *scan->argv++))
        return pi_refuse(err, PI_USAGE, "--%s needs a value: --%s %s", option->name, option->name,
                         option->argument);
    int r = store(option, attached, scan->values, err);
    return r < 0 ? r : refuse_split(option, attached, *scan->argv, err);
}

static int long_option(struct scan *scan, char *word, struct pi_error *err)
{
    size_t length = strcspn(word + 2, "=");
    char *attached = word[2 + length] ? word + 2 + length + 1 : NULL;
    const struct cli_option *o = cli_option_named(scan->command, word + 2, length);
    if (o)
        return option_value(scan, o, attached, err);
    char name[64], shown[66];
    snprintf(name, sizeof name, "%.*s", (int)(length < 40 ? length : 40), word + 2);
    snprintf(shown, sizeof shown, "--%s", name);
    return unknown(scan->command, shown, name, err);
}

static int short_options(struct scan *scan, char *word, struct pi_error *err)
{
    for (char *letter = word + 1; *letter; letter++) {
        const struct cli_option *o = cli_option_lettered(scan->command, *letter);
        if (!o)
            return unknown(scan->command, (char[]){'-', *letter, '\0'}, word + 1, err);
        bool flag = o->type == CLI_FLAG;
        int r = option_value(scan, o, !flag && letter[1] ? letter + 1 : NULL, err);
        if (r < 0 || !flag)
            return r;
    }
    return 0;
}

bool cli_is_help(const char *word)
{
    return !strcmp(word, "--help") || !strcmp(word, "-h");
}

static bool is_given(const struct cli_option *option, const void *values)
{
    const char *member = (const char *)values + option->offset;
    if (option->type == CLI_LIST)
        return ((const struct pi_strv *)member)->count;
    return option->type == CLI_STRING ? *(char *const *)member != NULL : *(const bool *)member;
}

/* The first option that was given in place of the operands (--all); NULL if none was. Adds all of them to ret: ", or
 * --all, --fleet, --label". */
static const struct cli_option *instead_of_operands(const struct cli_command *command, const void *values,
                                                    char *ret, size_t size)
{
    const struct cli_option *given = NULL;
    size_t used = 0;
    ret[0] = '\0';
    for (const struct cli_option *o = cli_options(command); o->name; o++) {
        if (!o->names)
            continue;
        used += (size_t)snprintf(ret + used, size - used, "%s--%s", used ? ", " : ", or ", o->name);
        if (!given && is_given(o, values))
            given = o;
    }
    return given;
}

static int check_count(const struct cli_command *command, const void *values,
                       const struct cli_operands *operands, struct pi_error *err)
{
    char others[64];
    const struct cli_option *instead = instead_of_operands(command, values, others, sizeof others);
    bool named = command->operand == CLI_MACHINE || command->operand == CLI_MACHINE_LIVE ||
                 command->operand == CLI_MACHINE_OVER;
    if (instead && operands->count)
        return pi_refuse(err, PI_USAGE, "%s takes names or --%s, not both", command->name, instead->name);
    if (operands->count < command->min_operands && !instead)
        return pi_refuse(err, PI_USAGE, "%s needs %s%s: piagent %s %s%s", command->name, command->operands,
                         others, command->name, command->operands,
                         named ? " (piagent ps -a lists the names)" : "");
    if (operands->count > command->max_operands && command->operands && strstr(command->operands, "..."))
        return pi_refuse(err, PI_USAGE, "%s takes at most %u at once, not %u: see piagent %s --help",
                         command->name, command->max_operands, operands->count, command->name);
    if (operands->count > command->max_operands)
        return pi_refuse(err, PI_USAGE, "%s does not take '%s': %s%s%s", command->name,
                         operands->items[command->max_operands],
                         command->surplus ? command->surplus : "see piagent ",
                         command->surplus ? "" : command->name, command->surplus ? "" : " --help");
    int r = 0;
    unsigned index;
    for (unsigned i = 0; r == 0 && command->operand == CLI_WORD && i < operands->count; i++)
        r = cli_find_word(operands->items[i], command->words, &index, err);
    return r < 0 ? pi_context(err, r, "%s", command->name) : 0;
}

/* Takes one word that is an option, and its value. */
static int take_option(struct scan *scan, char *word, struct pi_error *err)
{
    return word[1] == '-' ? long_option(scan, word, err) : short_options(scan, word, err);
}

int cli_parse(const struct cli_command *command, char **argv, void *values, struct cli_operands *ret,
              struct pi_error *err)
{
    struct scan scan = {.command = command, .values = values, .argv = argv};
    /* Operands are moved to the front of argv: there are never more of them than words were read. */
    struct cli_operands operands = {.items = argv};
    bool options = true;
    int r = 0;
    for (char *word; r == 0 && !operands.help && (word = *scan.argv);) {
        scan.argv++;
        if (!options || word[0] != '-' || !word[1])
            operands.items[operands.count++] = word;
        else if (cli_is_help(word))
            operands.help = true;
        else if (!strcmp(word, "--"))
            options = false;
        else
            r = take_option(&scan, word, err);
        if (options && command->passes_rest && operands.count == 1) {
            scan.argv += *scan.argv && !strcmp(*scan.argv, "--");
            options = false;
        }
    }
    if (r == 0 && !operands.help)
        r = check_count(command, values, &operands, err);
    if (r < 0)
        return r;
    argv[operands.count] = NULL;
    *ret = operands;
    return 0;
}

void cli_values_done(const struct cli_command *command, void *values)
{
    for (const struct cli_option *o = cli_options(command); values && o->name; o++)
        if (o->type == CLI_LIST)
            pi_strv_done((struct pi_strv *)((char *)values + o->offset));
}
