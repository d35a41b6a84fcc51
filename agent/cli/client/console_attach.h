/* SPDX-License-Identifier: MIT */
/*
 * A guest's serial console on this terminal: its output as it comes, keys to the guest, raw mode while it
 * lasts. Where standard input is no terminal, its bytes are sent until their end (for scripts), and output
 * goes on.
 */
#ifndef PIAGENT_CLI_CONSOLE_ATTACH_H
#define PIAGENT_CLI_CONSOLE_ATTACH_H

#include "agent/cli/client/instance_follow.h"

enum cli_console_end {
    CLI_CONSOLE_DETACHED, /* Ctrl-] */
    CLI_CONSOLE_OVER,     /* the machine ended */
    CLI_CONSOLE_SIGNAL,   /* follow->signal tells which */
};

/*
 * Attaches until one of these happens. tail_bytes of earlier output come first; where old is set they are of
 * another time, and are shown without control sequences: this terminal would answer the queries in them.
 * follow is of the same instance; its status line is hidden meanwhile. That its boot is done, or that its
 * cloud-init does not report, is told above the guest's last line, when that can be drawn again. The terminal
 * is as before afterwards.
 */
int cli_console_attach(struct cli_follow *follow, unsigned tail_bytes, bool old, enum cli_console_end *ret,
                       struct pi_error *err);

/* After CLI_CONSOLE_DETACHED: the line that tells how to come back, and how to log in. */
void cli_console_tell_left(struct cli_follow *follow);

/* After CLI_CONSOLE_OVER: the line that tells how it ended, and whether it was removed. */
void cli_console_tell_over(struct cli_follow *follow);

#endif
