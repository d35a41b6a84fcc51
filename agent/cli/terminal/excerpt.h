/* SPDX-License-Identifier: MIT */
/* Shows the line of a user-data file that a finding is about, without secrets. */
#ifndef PIAGENT_CLI_EXCERPT_H
#define PIAGENT_CLI_EXCERPT_H

#include <stddef.h>

#define CLI_EXCERPT_MAX 160 /* bytes */

/*
 * Writes the line (from 1; 0 = none: an empty excerpt) into ret, safe for a terminal. "..." hides everything
 * that may be a secret (seed/secret.h), and between brackets every value but the one at the column. Returns
 * the column of the caret, from 1; 0 = there is none. Columns count characters, from 1; 0 = the whole line is
 * meant.
 */
size_t cli_excerpt(const char *data, size_t size, size_t line, size_t column,
                   char ret[static CLI_EXCERPT_MAX + 1]);

#endif
