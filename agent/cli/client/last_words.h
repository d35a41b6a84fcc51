/* SPDX-License-Identifier: MIT */
/* The last lines of a guest's console, for the person who has to find out what went wrong. */
#ifndef PIAGENT_CLI_LAST_WORDS_H
#define PIAGENT_CLI_LAST_WORDS_H

#include "agent/cli/client/instance_follow.h"

/* Shows on the follow's screen, indented, the console's lines about these modules of cloud-init, and its last
 * lines. modules may be empty. */
void cli_tell_last_words(struct cli_follow *follow, const struct pi_strv *modules);
/* The same with the console's last line alone: for a guest that may be well, and runs on. */
void cli_tell_last_line(struct cli_follow *follow);

#endif
