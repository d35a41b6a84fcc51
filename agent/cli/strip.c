#include "agent/cli/strip.h"

#include <string.h>

enum { BEL = 0x07, CAN = 0x18, SUB = 0x1a, ESC = 0x1b };

/* Whether the byte is shown. last is the one before it. */
static bool next(struct cli_strip *strip, unsigned char last, unsigned char c)
{
    if (c == ESC) {
        strip->state = CLI_STRIP_ESCAPE;
        return false;
    }
    if (c == CAN || c == SUB)
        strip->state = CLI_STRIP_TEXT;
    switch (strip->state) {
    case CLI_STRIP_TEXT:
        if (last == 0xc2 && c >= 0x80 && c < 0xa0)
            return false;
        return (c >= 0x20 && c != 0x7f) || c == '\n' || c == '\t' || (c == '\r' && strip->returns);
    case CLI_STRIP_ESCAPE:
        /* Intermediate bytes (0x20-0x2f) belong to a sequence whose final byte is still to come. */
        if (c == '[')
            strip->state = CLI_STRIP_CSI;
        else if (strchr("]PX^_", c) && c)
            strip->state = CLI_STRIP_STRING;
        else if (c >= 0x30)
            strip->state = CLI_STRIP_TEXT;
        return false;
    case CLI_STRIP_CSI:
        if (c >= 0x40)
            strip->state = CLI_STRIP_TEXT;
        return false;
    case CLI_STRIP_STRING:
        /* A line's end closes it too: an unclosed string would swallow all that follows. */
        if (c == BEL || c == '\n')
            strip->state = CLI_STRIP_TEXT;
        return c == '\n';
    }
    return false;
}

size_t cli_strip(struct cli_strip *strip, char *bytes, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (next(strip, strip->last, c))
            bytes[used++] = bytes[i];
        strip->last = c;
    }
    return used;
}
