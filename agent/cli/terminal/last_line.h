/* SPDX-License-Identifier: MIT */
/* The current line of a guest's console, so that it can be drawn again below a line of piagent's. Pure. */
#ifndef PIAGENT_CLI_LAST_LINE_H
#define PIAGENT_CLI_LAST_LINE_H

#include <stdbool.h>
#include <stddef.h>

/* Zeroed memory is an empty line. */
struct cli_last_line {
    char text[512]; /* the line's bytes, not ended by a NUL */
    size_t size;
    bool odd; /* more than text is needed to draw it: control sequences, or it is too long */
};

/* The guest's next bytes. */
void cli_last_line_feed(struct cli_last_line *line, const char *bytes, size_t size);

#endif
