/* SPDX-License-Identifier: MIT */
/*
 * The topics: help that belongs to no single command. A topic is a text, topics/NAME.txt, for "piagent help NAME"
 * and the manual page piagent-NAME(7). The first line is the summary. After that a line begins with
 *
 *   "# "      a heading
 *   "* "      a term, which the lines below it explain
 *   "  "      its explanation
 *   "    "    text to be shown as it is: a command, output
 *
 * and else it belongs to a paragraph. An empty line ends a part.
 */
#ifndef PIAGENT_CLI_TOPICS_H
#define PIAGENT_CLI_TOPICS_H

#include "agent/base/buf.h"

struct cli_topic {
    const char *name; /* "exit-codes" */
    const char *text;
};

/* One for each file of topics/, by name; ends with {0}. The build makes it. */
extern const struct cli_topic cli_topics[];

/* NULL if there is no such topic. */
const struct cli_topic *cli_topic_named(const char *name);

/* The length of the summary with which the text begins. */
size_t cli_topic_summary_length(const struct cli_topic *topic);

enum cli_topic_part {
    CLI_TOPIC_HEADING,
    CLI_TOPIC_TERM,
    CLI_TOPIC_LITERAL,
    CLI_TOPIC_ITEM,
    CLI_TOPIC_TEXT,
};

/* The text after the summary. */
const char *cli_topic_begin(const struct cli_topic *topic);

/* Reads the next part and moves *at behind it. text is made to hold its lines, without what they begin with.
 * 1, 0 at the end, or -ENOMEM. */
int cli_topic_next(const char **at, enum cli_topic_part *ret, struct pi_buf *text);

/* The text of "piagent help TOPIC". 0 or -ENOMEM. */
int cli_topic_help(const struct cli_topic *topic, unsigned width, struct pi_buf *ret);

#endif
