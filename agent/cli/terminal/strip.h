/* SPDX-License-Identifier: MIT */
/* What a guest's console said, made safe for this terminal. Pure. */
#ifndef PIAGENT_CLI_STRIP_H
#define PIAGENT_CLI_STRIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where the last piece ended. Zeroed memory is the start; set returns for a terminal in raw mode. */
struct cli_strip {
    enum { CLI_STRIP_TEXT, CLI_STRIP_ESCAPE, CLI_STRIP_CSI, CLI_STRIP_STRING } state;
    unsigned left;       /* bytes of a UTF-8 sequence that are to come, */
    uint32_t code_point; /* what the ones before make, */
    uint32_t lowest;     /* and the least that a sequence of that length may stand for */
    bool returns;        /* carriage returns stay */
};

/*
 * Takes escape sequences (ECMA-48: CSI, and OSC, DCS, APC, PM, SOS strings), characters that pi_char_shows()
 * does not know as harmless, other than newline and tab, and bytes that are not UTF-8 out of bytes, in place,
 * over the borders of pieces. Of a sequence that goes wrong its first bytes may stay: what a terminal shows
 * as a broken character, and never a control. Returns the size that is left.
 */
size_t cli_strip(struct cli_strip *strip, char *bytes, size_t size);

#endif
