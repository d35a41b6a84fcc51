/* SPDX-License-Identifier: MIT */
#include "agent/cli/terminal/complete.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"
#include "agent/cli/terminal/foreign.h"
#include "agent/cli/terminal/topics.h"

struct cli_candidates {
    const char *before;         /* "--arch=": the part of the word before the value */
    const char *word;           /* the word that they have to begin with */
    const char *const *already; /* operands that are there: not offered again; ends with NULL */
    struct pi_buf *lines;
};

static bool is_among(const char *value, const char *const *words)
{
    for (; words && *words; words++)
        if (!strcmp(*words, value))
            return true;
    return false;
}

int cli_candidate(struct cli_candidates *ret, const char *value, const char *description)
{
    char clean[160] = "";
    size_t before = strlen(ret->before);
    if (strncmp(ret->word, ret->before, before) != 0 || !pi_starts_with(value, ret->word + before) ||
        is_among(value, ret->already))
        return 0;
    if (description)
        pi_text_clean(description, strlen(description), clean, sizeof clean);
    return pi_buf_printf(ret->lines, "%s%s%s%s\n", ret->before, value, *clean ? "\t" : "", clean);
}

static int offer_words(struct cli_candidates *ret, const char *const *words)
{
    int r = 0;
    for (; r == 0 && *words; words++)
        r = cli_candidate(ret, *words, NULL);
    return r;
}

static int offer_values(struct cli_candidates *ret, enum cli_kind kind, const char *const *words,
                        cli_names_fn *names)
{
    int r = 0;
    if (kind == CLI_WORD)
        return offer_words(ret, words);
    if (kind >= CLI_IMAGE && kind <= CLI_PLACE)
        r = names(kind, ret);
    if (r == 0 && (kind == CLI_FILE || kind == CLI_IMAGE || kind == CLI_PLACE))
        r = pi_buf_puts(ret->lines, ":files\n");
    return r == 0 && kind == CLI_FOLDER ? pi_buf_puts(ret->lines, ":folders\n") : r;
}

/* The names that other tools give to the commands, if none of ours begins with the word. */
static int offer_other_names(struct cli_candidates *ret, const char *first)
{
    char same[64];
    size_t skip = first ? strlen(first) + 1 : 0;
    int r = 0;
    for (const struct cli_foreign *row = cli_foreign_commands; r == 0 && row->words; row++) {
        bool fits = first ? pi_starts_with(row->words, first) && row->words[skip - 1] == ' '
                          : !strchr(row->words, ' ');
        snprintf(same, sizeof same, "the same as %s", row->ours ? row->ours : "");
        if (row->ours && fits)
            r = cli_candidate(ret, row->words + skip, same);
    }
    return r;
}

/* The first word of a command, or the second after "image"; with the summary if the word ends the name. */
static int offer_commands(struct cli_candidates *ret, const struct cli_command *const *commands,
                          const char *first)
{
    char last[64] = "", word[64];
    size_t skip = first ? strlen(first) + 1 : 0, before = ret->lines->size;
    int r = 0;
    for (; r == 0 && *commands; commands++) {
        const char *name = (*commands)->name;
        if (cli_is_hidden(*commands) ||
            (first && (!pi_starts_with(name, first) || name[strlen(first)] != ' ')))
            continue;
        size_t length = strcspn(name + skip, " ");
        snprintf(word, sizeof word, "%.*s", (int)length, name + skip);
        if (strcmp(word, last) != 0)
            r = cli_candidate(ret, word, name[skip + length] ? NULL : (*commands)->summary);
        memcpy(last, word, sizeof last);
    }
    return r < 0 || ret->lines->size > before ? r : offer_other_names(ret, first);
}

static int offer_topics(struct cli_candidates *ret)
{
    char summary[80];
    int r = 0;
    for (const struct cli_topic *topic = cli_topics; r == 0 && topic->name; topic++) {
        snprintf(summary, sizeof summary, "%.*s", (int)cli_topic_summary_length(topic), topic->text);
        r = cli_candidate(ret, topic->name, summary);
    }
    return r;
}

static int offer_options(struct cli_candidates *ret, const struct cli_command *command,
                         const char *const *given)
{
    char dashed[64];
    int r = 0;
    for (const struct cli_option *o = cli_options(command); r == 0 && o->name; o++) {
        snprintf(dashed, sizeof dashed, "--%s", o->name);
        if (o->type == CLI_LIST || !is_among(dashed, given))
            r = cli_candidate(ret, dashed, o->help);
    }
    return r < 0 ? r : cli_candidate(ret, "--help", cli_option_help.help);
}

/* The place of the word that is being written, among the words of a command. */
struct place {
    const struct cli_option *pending; /* whose value it is */
    const char *operands[64];
    unsigned count;
    bool over; /* after "--", or among words that are passed on: no options */
};

/* The option in word, which begins with '-', that takes the next word as its value; NULL if none does. */
static const struct cli_option *waits(const struct cli_command *command, const char *word)
{
    const struct cli_option *o = NULL;
    if (word[1] == '-')
        return strchr(word, '=') || !(o = cli_option_named(command, word + 2, strlen(word + 2))) ||
                       o->type == CLI_FLAG
                   ? NULL
                   : o;
    for (const char *letter = word + 1; *letter; letter++) {
        o = cli_option_lettered(command, *letter);
        if (o && o->type != CLI_FLAG)
            return letter[1] ? NULL : o;
    }
    return NULL;
}

static void walk(const struct cli_command *command, const char *const *words, struct place *ret)
{
    for (; words[1]; words++) {
        const char *word = words[0];
        if (ret->pending)
            ret->pending = NULL;
        else if (!ret->over && !strcmp(word, "--"))
            ret->over = true;
        else if (!ret->over && word[0] == '-' && word[1])
            ret->pending = waits(command, word);
        else if (++ret->count < PI_ARRAY_SIZE(ret->operands))
            ret->operands[ret->count - 1] = word;
        ret->over = ret->over || (command->passes_rest && ret->count > 0);
    }
}

static int offer_option_value(const struct cli_candidates *ret, const struct cli_option *option,
                              const char *before, cli_names_fn *names)
{
    struct cli_candidates values = *ret;
    values.before = before;
    return offer_values(&values, option->kind, option->words, names);
}

/* Offers what may follow a command's name. */
static int offer_next(struct cli_candidates *ret, const struct cli_command *const *commands,
                      const struct cli_command *command, const char *const *words, cli_names_fn *names)
{
    struct place place = {0};
    const struct cli_option *o;
    size_t name = strcspn(ret->word, "=");
    walk(command, words, &place);
    if (place.pending)
        return offer_option_value(ret, place.pending, "", names);
    if (!place.over && pi_starts_with(ret->word, "--") && ret->word[name]) {
        char before[80];
        snprintf(before, sizeof before, "%.*s=", (int)(name < 70 ? name : 70), ret->word);
        o = cli_option_named(command, ret->word + 2, name - 2);
        return o && o->type != CLI_FLAG ? offer_option_value(ret, o, before, names) : 0;
    }
    bool room = place.count < (command->passes_rest || command->makes_rest ? 1 : command->max_operands);
    if (!place.over && (ret->word[0] == '-' || !room))
        return offer_options(ret, command, words);
    if (!room)
        return 0;
    if (command->operand == CLI_COMMAND) {
        int r = offer_commands(ret, commands, place.count ? place.operands[0] : NULL);
        return r < 0 || place.count ? r : offer_topics(ret);
    }
    struct cli_candidates values = *ret;
    values.already = command->max_operands > 1 ? place.operands : NULL;
    return offer_values(&values, command->operand, command->words, names);
}

int cli_complete(const struct cli_command *const *commands, const char *const *words, cli_names_fn *names,
                 struct pi_buf *ret)
{
    const struct cli_command *command = NULL;
    size_t length = 0, last = 0;
    while (words[last + 1])
        last++;
    struct cli_candidates candidates = {.before = "", .word = words[last], .lines = ret};
    for (const struct cli_command *const *c = commands; *c; c++) {
        size_t n = cli_is_hidden(*c) ? 0 : cli_names_command(*c, words, last);
        if (n > length) {
            length = n;
            command = *c;
        }
    }
    int r = 0;
    if (last == 0 && words[0][0] == '-') {
        r = cli_candidate(&candidates, "--help", cli_option_help.help);
        if (r == 0)
            r = cli_candidate(&candidates, "--host", "ssh://[USER@]HOST[:PORT]: the command acts there");
        return r < 0 ? r : cli_candidate(&candidates, "--version", "show the version");
    }
    if (last < 2)
        r = offer_commands(&candidates, commands, last ? words[0] : NULL);
    return r < 0 || !command ? r : offer_next(&candidates, commands, command, words + length, names);
}
