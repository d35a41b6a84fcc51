/* SPDX-License-Identifier: MIT */
/* Removes a file's values from cloud-init's messages, because they may be secrets. */
#ifndef PIAGENT_SEED_HOST_WORDS_H
#define PIAGENT_SEED_HOST_WORDS_H

#include <stddef.h>

/* Writes a problem of the schema into ret without values: "{'name': 'web', ...} is not of type 'array'"
 * becomes "it is not of type 'array'", and "[] is too short" becomes "an empty list". */
void seed_host_problem(const char *text, size_t length, char *ret, size_t size);

/* Replaces in PyYAML's message what it quotes from the text. Single characters and "<block end>" stay. */
void seed_host_quotes_remove(char *text);

#endif
