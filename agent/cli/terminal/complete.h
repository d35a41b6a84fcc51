/* SPDX-License-Identifier: MIT */
/*
 * Completes command lines from the tables. This is the one engine behind the completions of bash, zsh and
 * fish: their scripts ("piagent completion SHELL") only call "piagent __complete -- WORD..." and show what it
 * prints.
 */
#ifndef PIAGENT_CLI_COMPLETE_H
#define PIAGENT_CLI_COMPLETE_H

#include "agent/cli/terminal/options.h"

/*
 * Offers the names of that kind (CLI_MACHINE, _LIVE, _OVER, CLI_IMAGE, CLI_STORED_IMAGE, CLI_TEMPLATE, CLI_NETWORK, CLI_FLEET, CLI_LABEL or
 * CLI_PLACE) with cli_candidate(), whose description may be NULL.
 */
struct cli_candidates;
typedef int cli_names_fn(enum cli_kind kind, struct cli_candidates *ret);
int cli_candidate(struct cli_candidates *ret, const char *value, const char *description);

/*
 * words are those after "piagent". There is at least one; the last one is being written, and may be empty;
 * they end with NULL. Adds a line to ret for each candidate that begins with the last word: "VALUE", or
 * "VALUE\tDESCRIPTION". Then ":files" or ":folders" if a path is possible, too. 0 or -ENOMEM.
 */
int cli_complete(const struct cli_command *const *commands, const char *const *words, cli_names_fn *names,
                 struct pi_buf *ret);

#endif
