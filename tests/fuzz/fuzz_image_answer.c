/* SPDX-License-Identifier: MIT */
/* A server's headers, line by line, as libcurl hands them over. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/image/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image_answer answer = {0};
    const char *at = (const char *)data, *end = at + size;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *next = newline ? newline + 1 : end;
        if (image_answer_read(&answer, at, (size_t)(next - at)) < 0)
            break;
        at = next;
    }
    if (answer.has_range && answer.range_start >= answer.range_total)
        abort();
    if (answer.etag[0] && (answer.etag[0] != '"' || !memchr(answer.etag, '\0', sizeof answer.etag)))
        abort();
    return 0;
}
