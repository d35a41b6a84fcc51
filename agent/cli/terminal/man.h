/* SPDX-License-Identifier: MIT */
/* Manual pages from the tables, in mdoc(7). */
#ifndef PIAGENT_CLI_MAN_H
#define PIAGENT_CLI_MAN_H

#include "agent/cli/terminal/options.h"
#include "agent/cli/terminal/topics.h"

/* piagent(1): commands, ends with NULL, and the list of topics. date as "November 24, 2026". 0 or -ENOMEM. */
int cli_man_main(const struct cli_command *const *commands, const char *date, struct pi_buf *ret);

/* piagent-NAME(1), a command's own. */
int cli_man_command(const struct cli_command *command, const char *date, struct pi_buf *ret);

/* piagent-TOPIC(7). */
int cli_man_topic(const struct cli_topic *topic, const char *date, struct pi_buf *ret);

/* "piagent-image-fetch". */
void cli_man_name(const struct cli_command *command, char ret[64]);

#endif
