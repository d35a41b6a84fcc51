/* SPDX-License-Identifier: MIT */
#include "agent/cli/terminal/strip.h"

#include <string.h>

#include "agent/base/text.h"

enum { BEL = 0x07, CAN = 0x18, SUB = 0x1a, ESC = 0x1b };

static bool lead(struct cli_strip *strip, unsigned char c)
{
    static const uint32_t lowest[] = {0, 0x80, 0x800, 0x10000};
    strip->left = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
    strip->lowest = lowest[strip->left];
    strip->code_point = c & (0x3fu >> strip->left);
    if (c >= 0xc2 && c <= 0xf4)
        return true;
    strip->left = 0;
    return false;
}

/* True if a byte from 0x80 on is shown. The bytes of a sequence before the last are shown as they come: a
 * terminal shows nothing for them alone. A continuation byte is shown only if the sequence is harmless, or
 * may still become so. */
static bool beyond_ascii(struct cli_strip *strip, unsigned char c)
{
    if (!strip->left || c >= 0xc0)
        return c >= 0xc0 ? lead(strip, c) : false;
    strip->code_point = strip->code_point << 6 | (c & 0x3f);
    strip->left--;
    /* Not good if even its greatest possible value is too small for its length, or its least one too large.
     * */
    uint32_t least = strip->code_point << 6 * strip->left, greatest = least | ((1u << 6 * strip->left) - 1);
    bool good = greatest >= strip->lowest && least <= 0x10ffff && (least < 0xd800 || least > 0xdfff) &&
                (strip->left || pi_char_shows(strip->code_point));
    if (!good)
        strip->left = 0;
    return good;
}

static bool strip_text(struct cli_strip *strip, unsigned char c)
{
    if (c >= 0x80)
        return beyond_ascii(strip, c);
    strip->left = 0;
    return pi_char_shows(c) || c == '\n' || c == '\t' || (c == '\r' && strip->returns);
}

/* True if the byte is shown. */
static bool next(struct cli_strip *strip, unsigned char c)
{
    if (c == ESC) {
        strip->state = CLI_STRIP_ESCAPE;
        strip->left = 0;
        return false;
    }
    if (c == CAN || c == SUB)
        strip->state = CLI_STRIP_TEXT;
    switch (strip->state) {
    case CLI_STRIP_TEXT:
        return strip_text(strip, c);
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
    for (size_t i = 0; i < size; i++)
        if (next(strip, (unsigned char)bytes[i]))
            bytes[used++] = bytes[i];
    return used;
}
