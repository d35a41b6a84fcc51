/* SPDX-License-Identifier: MIT */
#include "agent/cli/terminal/last_line.h"

static void feed(struct cli_last_line *line, char c)
{
    bool control = (unsigned char)c < ' ' && c != '\t';
    if (c == '\n' || c == '\r')
        line->size = 0, line->odd = false;
    else if (c == '\b')
        line->size -= line->size > 0;
    else if (c != '\a' && (control || line->size == sizeof line->text))
        line->odd = true;
    else if (c != '\a')
        line->text[line->size++] = c;
}

void cli_last_line_feed(struct cli_last_line *line, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        feed(line, bytes[i]);
}
