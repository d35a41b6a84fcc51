/* SPDX-License-Identifier: MIT */
/* Cuts a byte stream into lines: bytes in, a call for each line out. For JSON lines from workers and from the
 * agent. */
#ifndef PIAGENT_BASE_LINES_H
#define PIAGENT_BASE_LINES_H

#include "agent/base/buf.h"

struct pi_lines {
    struct pi_buf partial; /* set partial.max to the longest line to accept */
};

/* Calls on_line for each whole line, NUL-terminated and without its newline. If on_line returns a negative
 * value, stops and returns it. -E2BIG if a line is longer than the limit. */
int pi_lines_feed(struct pi_lines *lines, const char *data, size_t size,
                  int (*on_line)(char *line, size_t size, void *user), void *user);
void pi_lines_done(struct pi_lines *lines);

#endif
