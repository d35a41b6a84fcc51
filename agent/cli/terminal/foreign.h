/* SPDX-License-Identifier: MIT */
/*
 * The words of other tools (docker, podman, limactl, multipass, virsh, vagrant). A word with the meaning of
 * one of piagent's is another name for it; for any other word the answer tells what to write instead. Pure
 * functions.
 */
#ifndef PIAGENT_CLI_FOREIGN_H
#define PIAGENT_CLI_FOREIGN_H

#include <stddef.h>

#include "agent/cli/terminal/options.h"

/* Either ours or answer is NULL. */
struct cli_foreign {
    const char *command; /* options: the command that it is written with; else NULL */
    const char *words;   /* "stop", "image list"; options: several with spaces between them: "-t --time" */
    const char *ours;    /* the name of the command, or of the option without dashes */
    const char *answer;  /* what to write instead */
};

/* End with {0}. */
extern const struct cli_foreign cli_foreign_commands[], cli_foreign_options[];

/* How many of the words (1 or 2) name the command, by its own name or by another one; 0: they do not. */
size_t cli_names_command(const struct cli_command *command, const char *const *words, size_t count);

/* The row of the words that a command line begins with, or NULL. */
const struct cli_foreign *cli_foreign_command(const char *const *words, size_t count);

/* The row of an option, with its dashes, or NULL. */
const struct cli_foreign *cli_foreign_option(const struct cli_command *command, const char *word);

/* The word that other tools call text, if it is one of words, or NULL. */
const char *cli_foreign_value(const char *text, const char *const *words);

/* "stop, shutdown": the other names of a command; ret stays empty if there are none. 0 or -ENOMEM. */
int cli_other_names(const struct cli_command *command, struct pi_buf *ret);

#endif
