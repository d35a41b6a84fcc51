/* What a guest's console said, made safe for this terminal. Pure. */
#ifndef PIAGENT_CLI_STRIP_H
#define PIAGENT_CLI_STRIP_H

#include <stdbool.h>
#include <stddef.h>

/* Where the last piece ended. Zeroed memory is the start; set returns for a terminal in raw mode. */
struct cli_strip {
    enum { CLI_STRIP_TEXT, CLI_STRIP_ESCAPE, CLI_STRIP_CSI, CLI_STRIP_STRING } state;
    unsigned char last;
    bool returns; /* carriage returns stay */
};

/*
 * Takes escape sequences (ECMA-48: CSI, and OSC, DCS, APC, PM, SOS strings) and control characters (also C1
 * in UTF-8) other than newline and tab out of bytes, in place, over the borders of pieces. Returns the size
 * that is left.
 */
size_t cli_strip(struct cli_strip *strip, char *bytes, size_t size);

#endif
