/* SPDX-License-Identifier: MIT */
/* Makes the output of a guest's console safe for this terminal. Pure. */
#ifndef PIAGENT_CLI_STRIP_H
#define PIAGENT_CLI_STRIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The state after the last piece. Zeroed memory is the start; set returns for a terminal in raw mode. */
struct cli_strip {
    enum { CLI_STRIP_TEXT, CLI_STRIP_ESCAPE, CLI_STRIP_CSI, CLI_STRIP_STRING } state;
    unsigned left;       /* bytes of a UTF-8 sequence that are to come, */
    uint32_t code_point; /* the value of those before them, */
    uint32_t lowest;     /* and the least that a sequence of that length may stand for */
    bool returns;        /* carriage returns stay */
};

/*
 * Removes from bytes, in place: escape sequences (ECMA-48: CSI, and OSC, DCS, APC, PM, SOS strings),
 * characters that pi_char_shows() does not know as harmless (newline and tab stay), and bytes that are not
 * UTF-8. A sequence may begin in one piece and end in the next. The first bytes of a broken UTF-8 sequence
 * may stay: a terminal shows a broken character for them, and never obeys them. Returns the size that is
 * left.
 */
size_t cli_strip(struct cli_strip *strip, char *bytes, size_t size);

#endif
