/* SPDX-License-Identifier: MIT */
/* The texts of --help and of "piagent help", wrapped to the terminal. */
#ifndef PIAGENT_CLI_HELP_H
#define PIAGENT_CLI_HELP_H

#include "agent/cli/terminal/options.h"

/* The text of "piagent COMMAND --help", in lines of at most width columns. 0 or -ENOMEM. */
int cli_help(const struct cli_command *command, unsigned width, struct pi_buf *ret);

/* Adds text in lines of at most width columns. The first line begins at column, the others are indented.
 * Lines break at white space; "\n\n" stays an empty line. */
int cli_wrap(const char *text, unsigned indent, unsigned column, unsigned width, struct pi_buf *ret);

/* The text of "piagent help": the commands, up to a NULL, and the topics. 0 or -ENOMEM. */
int cli_help_all(const struct cli_command *const *commands, unsigned width, struct pi_buf *ret);

/* The commands of two words that begin with this one: "piagent help image". 0 or -ENOMEM. */
int cli_help_group(const struct cli_command *const *commands, const char *first, unsigned width,
                   struct pi_buf *ret);

#endif
