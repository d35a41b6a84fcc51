/* SPDX-License-Identifier: MIT */
#include "agent/base/lines.h"

#include <string.h>

int pi_lines_feed(struct pi_lines *lines, const char *data, size_t size,
                  int (*on_line)(char *line, size_t size, void *user), void *user)
{
    while (size) {
        const char *newline = memchr(data, '\n', size);
        size_t part = newline ? (size_t)(newline - data) : size;
        int r = pi_buf_add(&lines->partial, data, part);
        if (r < 0 || !newline)
            return r;
        data = newline + 1;
        size -= part + 1;
        r = on_line(lines->partial.data, lines->partial.size, user);
        lines->partial.size = 0;
        if (r < 0)
            return r;
    }
    return 0;
}

void pi_lines_done(struct pi_lines *lines)
{
    pi_buf_done(&lines->partial);
}
