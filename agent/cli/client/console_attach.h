/* SPDX-License-Identifier: MIT */
/*
 * Attaches this terminal to a guest's serial console: output is shown as it comes, keys go to the guest, and
 * the terminal is in raw mode meanwhile. If standard input is no terminal, its bytes are sent up to their end
 * (for scripts), and output goes on.
 */
#ifndef PIAGENT_CLI_CONSOLE_ATTACH_H
#define PIAGENT_CLI_CONSOLE_ATTACH_H

#include "agent/cli/client/instance_follow.h"

enum cli_console_end {
    CLI_CONSOLE_DETACHED, /* Ctrl-] */
    CLI_CONSOLE_OVER,     /* the instance ended */
    CLI_CONSOLE_SIGNAL,   /* follow->signal tells which */
};

/*
 * Attaches until one of these happens. tail_bytes of earlier output come first. If old is set, they are shown
 * without control sequences: this terminal would answer the queries in them, long after the guest asked.
 * follow is of the same instance; its status line is hidden meanwhile. When the boot is done, or cloud-init
 * does not report, a line above the guest's last one says so, if that one can be drawn again. Afterwards the
 * terminal is as it was before.
 */
int cli_console_attach(struct cli_follow *follow, unsigned tail_bytes, bool old, enum cli_console_end *ret,
                       struct pi_error *err);

/* After CLI_CONSOLE_DETACHED: prints the line that tells how to come back, and how to log in. */
void cli_console_tell_left(struct cli_follow *follow);

/* After CLI_CONSOLE_OVER: prints the line that tells how the instance ended, and if it was removed. */
void cli_console_tell_over(struct cli_follow *follow);

#endif
