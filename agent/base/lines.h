/* SPDX-License-Identifier: MIT */
/* Cuts a byte stream into lines: bytes in, a call for each line out. For JSON lines from workers and from the
 * agent. */
#ifndef PIAGENT_BASE_LINES_H
#define PIAGENT_BASE_LINES_H

#include "agent/base/buf.h"

struct pi_lines {
    struct pi_buf partial; /* set partial.max to the longest line to accept */
};

/* Calls on_line for each whole line, without its newline and NUL-terminated; stops at, and returns, the first
 * negative return of it. -E2BIG for a line past the limit. */
int pi_lines_feed(struct pi_lines *lines, const char *data, size_t size,
                  int (*on_line)(char *line, size_t size, void *user), void *user);
void pi_lines_done(struct pi_lines *lines);

#endif
