/* SPDX-License-Identifier: MIT */
/* A stream gives the same lines, wherever it is cut. The first byte says where to cut. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int collect(char *line, size_t size, void *user)
{
    if (line[size] != '\0' || memchr(line, '\n', size) || size > 32)
        abort();
    return pi_buf_add(user, line, size) < 0 || pi_buf_add(user, "\n", 1) < 0 ? -1 : 0;
}

static int feed(const char *bytes, size_t size, size_t piece, struct pi_buf *ret)
{
    struct pi_lines lines = {.partial.max = 32};
    int r = 0;
    for (size_t at = 0; r == 0 && at < size; at += piece)
        r = pi_lines_feed(&lines, bytes + at, size - at < piece ? size - at : piece, collect, ret);
    pi_lines_done(&lines);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pi_buf whole = {0}, cut = {0};
    if (size < 1)
        return 0;
    const char *bytes = (const char *)data + 1;
    size_t piece = 1 + data[0] % 64;
    int r = feed(bytes, size - 1, size, &whole);
    if (feed(bytes, size - 1, piece, &cut) != r || whole.size != cut.size ||
        (whole.size && memcmp(whole.data, cut.data, whole.size) != 0))
        abort();
    pi_buf_done(&whole);
    pi_buf_done(&cut);
    return 0;
}
