/* SPDX-License-Identifier: MIT */
/* Strips any bytes of a console, cut anywhere: the rest holds no control character or sequence, also not one
 * that the cut split. The first byte says where to cut. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/text.h"
#include "agent/cli/terminal/strip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void strip(const uint8_t *data, size_t size, size_t piece, struct pi_buf *ret)
{
    struct cli_strip state = {0};
    char bytes[256];
    for (size_t at = 0; at < size; at += piece) {
        size_t n = size - at < piece ? size - at : piece;
        memcpy(bytes, data + at, n);
        pi_buf_add(ret, bytes, cli_strip(&state, bytes, n));
    }
}

static void check(const char *text, size_t size)
{
    char clean[5];
    for (size_t i = 0, n; i < size; i += n ? n : 1) {
        unsigned char c = (unsigned char)text[i];
        n = pi_utf8_length(text + i, size - i);
        if ((n == 0 && c < 0xc2) || (n == 1 && !pi_char_shows(c) && c != '\n' && c != '\t'))
            /* A continuation byte may follow the beginning of a sequence that went wrong. */
            if (n == 1 || i == 0 || (unsigned char)text[i - 1] < 0x80)
                abort();
        if (n > 1 && strcmp(pi_text_clean(text + i, n, clean, sizeof clean), "?") == 0)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pi_buf whole = {0}, cut = {0};
    if (size < 1)
        return 0;
    strip(data + 1, size - 1, 256, &whole);
    strip(data + 1, size - 1, 1 + data[0] % 64, &cut);
    if (whole.size != cut.size || (whole.size && memcmp(whole.data, cut.data, whole.size) != 0))
        abort();
    check(whole.data, whole.size);
    pi_buf_done(&whole);
    pi_buf_done(&cut);
    return 0;
}
