#include "agent/cli/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"

#define OPTIONS_MAX 32

static const struct cli_option no_options[] = {{0}};

static const struct cli_option *table_of(const struct cli_command *command)
{
    return command->options ? command->options : no_options;
}

static int unknown(const struct cli_command *command, const char *shown, const char *name,
                   struct pi_error *err)
{
    const char *names[OPTIONS_MAX + 2] = {"help"};
    size_t count = 1;
    for (const struct cli_option *o = table_of(command); o->name && count <= OPTIONS_MAX; o++)
        names[count++] = o->name;
    const char *nearest = pi_nearest(name, names);
    if (nearest)
        return pi_refuse(err, PI_USAGE, "%s has no option %s: did you mean --%s?", command->name, shown,
                         nearest);
    return pi_refuse(err, PI_USAGE, "%s has no option %s: see piagent %s --help", command->name, shown,
                     command->name);
}

static int store(const struct cli_option *option, char *text, void *values, struct pi_error *err)
{
    void *member = (char *)values + option->offset;
    int r = 0;
    switch (option->type) {
    case CLI_FLAG:
        *(bool *)member = true;
        return 0;
    case CLI_STRING:
        *(char **)member = text;
        return 0;
    case CLI_NUMBER:
        r = pi_number_parse(text, option->min, option->max, member, err);
        break;
    case CLI_SIZE:
        r = pi_size_parse(text, member, err);
        break;
    case CLI_DURATION:
        r = pi_duration_parse(text, member, err);
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
    char **argv; /* what is left of it, ends with NULL */
};

/* The value behind an option: attached to it, else the next word. */
static int option_value(struct scan *scan, const struct cli_option *option, char *attached,
                        struct pi_error *err)
{
    if (option->type == CLI_FLAG && attached)
        return pi_refuse(err, PI_USAGE, "--%s takes no value", option->name);
    if (option->type != CLI_FLAG && !attached && !(attached = *scan->argv++))
        return pi_refuse(err, PI_USAGE, "--%s needs a value: --%s %s", option->name, option->name,
                         option->argument);
    return store(option, attached, scan->values, err);
}

static int long_option(struct scan *scan, char *word, struct pi_error *err)
{
    size_t length = strcspn(word + 2, "=");
    char *attached = word[2 + length] ? word + 2 + length + 1 : NULL;
    for (const struct cli_option *o = table_of(scan->command); o->name; o++)
        if (strlen(o->name) == length && !strncmp(o->name, word + 2, length))
            return option_value(scan, o, attached, err);
    char name[64], shown[66];
    snprintf(name, sizeof name, "%.*s", (int)(length < 40 ? length : 40), word + 2);
    snprintf(shown, sizeof shown, "--%s", name);
    return unknown(scan->command, shown, name, err);
}

static int short_options(struct scan *scan, char *word, struct pi_error *err)
{
    for (char *letter = word + 1; *letter; letter++) {
        const struct cli_option *o = table_of(scan->command);
        while (o->name && o->letter != *letter)
            o++;
        if (!o->name)
            return unknown(scan->command, (char[]){'-', *letter, '\0'}, word + 1, err);
        bool flag = o->type == CLI_FLAG;
        int r = option_value(scan, o, !flag && letter[1] ? letter + 1 : NULL, err);
        if (r < 0 || !flag)
            return r;
    }
    return 0;
}

static bool is_help(const char *word)
{
    return !strcmp(word, "--help") || !strcmp(word, "-h");
}

static int check_count(const struct cli_command *command, const struct cli_operands *operands,
                       struct pi_error *err)
{
    if (operands->count < command->min_operands)
        return pi_refuse(err, PI_USAGE, "%s needs %s: piagent %s %s", command->name, command->operands,
                         command->name, command->operands);
    if (operands->count > command->max_operands)
        return pi_refuse(err, PI_USAGE, "%s does not take '%s': see piagent %s --help", command->name,
                         operands->items[command->max_operands], command->name);
    return 0;
}

/* One word that is not an operand, and what belongs to it. */
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
        else if (is_help(word))
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
        r = check_count(command, &operands, err);
    if (r < 0)
        return r;
    argv[operands.count] = NULL;
    *ret = operands;
    return 0;
}

void cli_values_done(const struct cli_command *command, void *values)
{
    for (const struct cli_option *o = table_of(command); values && o->name; o++)
        if (o->type == CLI_LIST)
            pi_strv_done((struct pi_strv *)((char *)values + o->offset));
}

static int help_line(const struct cli_option *option, struct pi_buf *ret)
{
    char letter[8] = "    ", left[64];
    if (option->letter)
        snprintf(letter, sizeof letter, "-%c, ", option->letter);
    snprintf(left, sizeof left, "%s--%s%s%s", letter, option->name, option->argument ? " " : "",
             option->argument ? option->argument : "");
    return pi_buf_printf(ret, "  %-33s %s%s\n", left, option->help,
                         option->type == CLI_LIST ? " (may be given several times)" : "");
}

int cli_help(const struct cli_command *command, struct pi_buf *ret)
{
    static const struct cli_option help = {.name = "help", .letter = 'h', .help = "show this"};
    int r =
        pi_buf_printf(ret, "piagent %s%s%s%s\n\n%c%s.\n", command->name, command->options ? " [OPTIONS]" : "",
                      command->operands ? " " : "", command->operands ? command->operands : "",
                      toupper(command->summary[0]), command->summary + 1);
    if (r == 0 && command->details)
        r = pi_buf_printf(ret, "\n%s\n", command->details);
    if (r == 0)
        r = pi_buf_puts(ret, "\n");
    for (const struct cli_option *o = table_of(command); r == 0 && o->name; o++)
        r = help_line(o, ret);
    if (r == 0)
        r = help_line(&help, ret);
    return r < 0 ? r : pi_buf_printf(ret, "\nExample:\n  %s\n", command->example);
}
