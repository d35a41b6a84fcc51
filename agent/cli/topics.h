/* SPDX-License-Identifier: MIT */
/* What belongs to no single command: one table each for "piagent help TOPIC" and for piagent(1). */
#ifndef PIAGENT_CLI_TOPICS_H
#define PIAGENT_CLI_TOPICS_H

#include "agent/base/buf.h"

struct cli_fact {
    const char *term, *text;
};

struct cli_topic {
    const char *name;             /* as "piagent help" takes it: "exit-codes" */
    const char *summary;          /* for the list of topics */
    const char *section;          /* of the man page: "EXIT STATUS" */
    const char *intro;            /* paragraphs with "\n\n" between them */
    const struct cli_fact *facts; /* ends with {0}; NULL = none */
};

/* In the order of the man page's sections; ends with NULL. */
extern const struct cli_topic *const cli_topics[];

/* The text of "piagent help TOPIC". 0 or -ENOMEM. */
int cli_topic_help(const struct cli_topic *topic, unsigned width, struct pi_buf *ret);

#endif
