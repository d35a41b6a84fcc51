/* SPDX-License-Identifier: MIT */
/* What cloud-init says of a file, without the values of the file in it: they may be secrets. */
#ifndef PIAGENT_SEED_HOST_WORDS_H
#define PIAGENT_SEED_HOST_WORDS_H

#include <stddef.h>

/* Writes into ret what a problem of the schema says ("{'name': 'web', ...} is not of type 'array'": "it is
 * not of type 'array'", "[] is too short": "an empty list"), as far as it is in words of the schema's own. */
void seed_host_problem(const char *text, size_t length, char *ret, size_t size);

/* PyYAML's words without what they quote of the text, but for single characters and its own "<block end>". */
void seed_host_quotes_remove(char *text);

#endif
