/* SPDX-License-Identifier: MIT */
#include "agent/cli/terminal/topics.h"

#include <stdbool.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"
#include "agent/cli/terminal/help.h"

#define ITEM_COLUMN 12

/* In the order of enum cli_topic_part: the first that fits. */
static const char *const part_begins[] = {"# ", "* ", "    ", "  ", ""};

const struct cli_topic *cli_topic_named(const char *name)
{
    for (const struct cli_topic *topic = cli_topics; topic->name; topic++)
        if (!strcmp(topic->name, name))
            return topic;
    return NULL;
}

size_t cli_topic_summary_length(const struct cli_topic *topic)
{
    return strcspn(topic->text, "\n");
}

const char *cli_topic_begin(const struct cli_topic *topic)
{
    return topic->text + cli_topic_summary_length(topic);
}

static enum cli_topic_part part_of(const char *line)
{
    enum cli_topic_part part = CLI_TOPIC_HEADING;
    while (!pi_starts_with(line, part_begins[part]))
        part++;
    return part;
}

int cli_topic_next(const char **at, enum cli_topic_part *ret, struct pi_buf *text)
{
    const char *line = *at + strspn(*at, "\n");
    pi_buf_consume(text, text->size);
    if (!*line)
        return 0;
    enum cli_topic_part part = part_of(line);
    bool one_line = part == CLI_TOPIC_HEADING || part == CLI_TOPIC_TERM;
    do {
        size_t skip = strlen(part_begins[part]), length = strcspn(line, "\n");
        int r = pi_buf_printf(text, "%s%.*s", text->size ? "\n" : "", (int)(length - skip), line + skip);
        if (r < 0)
            return r;
        line += length + (line[length] == '\n');
    } while (!one_line && *line && *line != '\n' && part_of(line) == part);
    *at = line;
    *ret = part;
    return 1;
}

static int literal_help(const char *text, struct pi_buf *ret)
{
    int r = 0;
    while (r == 0 && *text) {
        size_t length = strcspn(text, "\n");
        r = pi_buf_printf(ret, "    %.*s\n", (int)length, text);
        text += length + (text[length] == '\n');
    }
    return r;
}

/* A short term has its text beside it, a long one below it. */
static int term_help(const char *term, struct pi_buf *ret)
{
    return pi_buf_printf(ret, strlen(term) < ITEM_COLUMN - 2 ? "  %-*s" : "  %-*s\n", ITEM_COLUMN - 2, term);
}

static int item_help(const char *text, unsigned width, struct pi_buf *ret)
{
    bool beside = ret->data[ret->size - 1] != '\n';
    int r = beside ? 0 : pi_buf_printf(ret, "%*s", ITEM_COLUMN, "");
    return r < 0 ? r : cli_wrap(text, ITEM_COLUMN, ITEM_COLUMN, width, ret);
}

static int part_help(enum cli_topic_part part, enum cli_topic_part before, const char *text, unsigned width,
                     struct pi_buf *ret)
{
    bool of_list = part == CLI_TOPIC_ITEM || (part == CLI_TOPIC_TERM && before == CLI_TOPIC_ITEM);
    int r = ret->size && before != CLI_TOPIC_HEADING && !of_list ? pi_buf_puts(ret, "\n") : 0;
    if (r < 0)
        return r;
    switch (part) {
    case CLI_TOPIC_HEADING:
        return pi_buf_printf(ret, "%s\n", text);
    case CLI_TOPIC_TERM:
        return term_help(text, ret);
    case CLI_TOPIC_LITERAL:
        return literal_help(text, ret);
    case CLI_TOPIC_ITEM:
        return item_help(text, width, ret);
    case CLI_TOPIC_TEXT:
        return cli_wrap(text, 0, 0, width, ret);
    }
    return 0;
}

int cli_topic_help(const struct cli_topic *topic, unsigned width, struct pi_buf *ret)
{
    pi_auto_buf struct pi_buf text = {0};
    const char *at = cli_topic_begin(topic);
    enum cli_topic_part part, before = CLI_TOPIC_HEADING;
    int r;
    while ((r = cli_topic_next(&at, &part, &text)) > 0) {
        if ((r = part_help(part, before, text.data, width, ret)) < 0)
            return r;
        before = part;
    }
    return r;
}
