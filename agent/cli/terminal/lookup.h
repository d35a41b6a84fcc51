/* SPDX-License-Identifier: MIT */
/* The command that a command line begins with. commands are all there are, up to a NULL. */
#ifndef PIAGENT_CLI_LOOKUP_H
#define PIAGENT_CLI_LOOKUP_H

#include "agent/cli/terminal/options.h"

/* The command that the first words name, and how many words that takes; NULL and 0 if none is called so. */
const struct cli_command *cli_find_command(const struct cli_command *const *commands, char **words,
                                           size_t count, size_t *ret_words);

/* True for the first word of commands of two words: "image". */
bool cli_is_group(const struct cli_command *const *commands, const char *word);

/* True if the command has two words, and this is the first. */
bool cli_is_in_group(const struct cli_command *command, const char *word);

/* Refuses (PI_USAGE) words, at least one, that name no command (nor topic of help), with the nearest. */
int cli_refuse_command(const struct cli_command *const *commands, char **words, size_t count, bool topics,
                       struct pi_error *err);

#endif
