/* SPDX-License-Identifier: MIT */
/* The values of options that take one of several words, to parse, offer and document them. Each list ends
 * with NULL. A test checks that the layers below, which this one may not know, take the same. */
#ifndef PIAGENT_CLI_WORDS_H
#define PIAGENT_CLI_WORDS_H

extern const char *const cli_words_hash_method[], *const cli_words_shell[];

#endif
