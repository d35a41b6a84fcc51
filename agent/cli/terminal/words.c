/* SPDX-License-Identifier: MIT */
#include "agent/cli/terminal/words.h"

#include <stddef.h>

const char *const cli_words_hash_method[] = {"yescrypt", "sha512", NULL};
const char *const cli_words_shell[] = {"bash", "zsh", "fish", NULL};
