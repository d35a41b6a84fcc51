/* SPDX-License-Identifier: MIT */
/* What a guest's console showed last, for the person who has to find out what went wrong. */
#ifndef PIAGENT_CLI_LAST_WORDS_H
#define PIAGENT_CLI_LAST_WORDS_H

#include "agent/cli/client/instance_follow.h"

/* What cloud-init failed at, and the last lines of the console, indented, on the follow's screen. modules may
 * be empty. */
void cli_tell_last_words(struct cli_follow *follow, const struct pi_strv *modules);

#endif
