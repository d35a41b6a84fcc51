/* SPDX-License-Identifier: MIT */
#include "agent/cli/terminal/lookup.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"
#include "agent/cli/terminal/foreign.h"
#include "agent/cli/terminal/topics.h"

#define CANDIDATES_MAX 96 /* commands and topics that a misspelt word is compared with */

const struct cli_command *cli_find_command(const struct cli_command *const *commands, char **words,
                                           size_t count, size_t *ret_words)
{
    const struct cli_command *found = NULL;
    *ret_words = 0;
    for (; *commands; commands++) {
        size_t n = cli_names_command(*commands, (const char *const *)words, count);
        if (n > *ret_words) {
            found = *commands;
            *ret_words = n;
        }
    }
    return found;
}

bool cli_is_in_group(const struct cli_command *command, const char *word)
{
    return pi_starts_with(command->name, word) && command->name[strlen(word)] == ' ';
}

bool cli_is_group(const struct cli_command *const *commands, const char *word)
{
    for (; *commands; commands++)
        if (cli_is_in_group(*commands, word))
            return true;
    return false;
}

/* "fetch, ls, verify": the second words of the commands that begin with first. */
static int second_words(const struct cli_command *const *commands, const char *first, struct pi_buf *ret)
{
    int r = 0;
    for (; r == 0 && *commands; commands++)
        if (cli_is_in_group(*commands, first))
            r = pi_buf_printf(ret, "%s%s", ret->size ? ", " : "", (*commands)->name + strlen(first) + 1);
    return r;
}

static bool is_destructive(const struct cli_command *const *commands, const char *name)
{
    for (; *commands; commands++)
        if (!strcmp((*commands)->name, name))
            return (*commands)->destructive;
    return false;
}

/* "image fech" is compared as a whole, "pss web" by its first word. A destructive command is never suggested,
 * nor the second best in its place. */
static const char *nearest_command(const struct cli_command *const *commands, const char *two,
                                   const char *first, bool topics)
{
    const char *names[CANDIDATES_MAX + 1] = {0};
    size_t count = 0;
    for (const struct cli_command *const *c = commands; *c && count < CANDIDATES_MAX; c++)
        if (!cli_is_hidden(*c))
            names[count++] = (*c)->name;
    for (const struct cli_topic *t = cli_topics; topics && t->name && count < CANDIDATES_MAX; t++)
        names[count++] = t->name;
    const char *nearest = pi_nearest(two, names);
    if (!nearest && !cli_is_group(commands, first))
        nearest = pi_nearest(first, names);
    return nearest && is_destructive(commands, nearest) ? NULL : nearest;
}

/* An option before the command. */
static int refuse_first_option(const char *word, struct pi_error *err)
{
    static const char *const options[] = {"--host", "--help", "--version", NULL};
    char name[32], suggestion[PI_SUGGESTION_SIZE];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
    return pi_refuse(
        err, PI_USAGE, "piagent has no option %s: %s", name,
        pi_suggest(name, options, "options of a command stand behind it: see piagent help", suggestion));
}

int cli_refuse_command(const struct cli_command *const *commands, char **words, size_t count, bool topics,
                       struct pi_error *err)
{
    char two[64];
    if (words[0][0] == '-')
        return refuse_first_option(words[0], err);
    snprintf(two, sizeof two, "%.30s%s%.30s", words[0], count > 1 ? " " : "", count > 1 ? words[1] : "");
    const struct cli_foreign *foreign = cli_foreign_command((const char *const *)words, count);
    if (foreign && foreign->answer)
        return pi_refuse(err, PI_USAGE, "there is no command '%s': %s", foreign->words, foreign->answer);
    const char *nearest = nearest_command(commands, two, words[0], topics);
    pi_auto_buf struct pi_buf seconds = {0};
    if (nearest)
        return pi_refuse(err, PI_USAGE, "there is no command '%.40s': did you mean piagent %s%s?",
                         strchr(nearest, ' ') ? two : words[0], topics ? "help " : "", nearest);
    if (second_words(commands, words[0], &seconds) == 0 && seconds.size)
        return pi_refuse(err, PI_USAGE, "piagent %.40s takes one of %s: see piagent help", words[0],
                         seconds.data);
    return pi_refuse(err, PI_USAGE, "there is no command '%.40s': see piagent help", words[0]);
}
