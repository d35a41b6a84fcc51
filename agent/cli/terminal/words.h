/* SPDX-License-Identifier: MIT */
/* Enumerated values: what the command line takes, offers and documents. Each ends with NULL. A test holds
 * them to what the layers below take, which this one may not know. */
#ifndef PIAGENT_CLI_WORDS_H
#define PIAGENT_CLI_WORDS_H

extern const char *const cli_words_arch[], *const cli_words_accel[], *const cli_words_firmware[];
extern const char *const cli_words_hash_method[], *const cli_words_shell[];

#endif
