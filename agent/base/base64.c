/* SPDX-License-Identifier: MIT */
#include "agent/base/base64.h"

#include <errno.h>
#include <string.h>

#include "agent/base/auto.h"

static const char alphabet[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int pi_base64_encode(const void *data, size_t size, struct pi_buf *ret)
{
    const uint8_t *bytes = data;
    pi_auto_free char *text = malloc((size + 2) / 3 * 4 + 1);
    char *out = text;
    if (!text)
        return -ENOMEM;
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t bits = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                        (left > 2 ? bytes[i + 2] : 0);
        *out++ = alphabet[bits >> 18];
        *out++ = alphabet[bits >> 12 & 63];
        *out++ = left > 1 ? alphabet[bits >> 6 & 63] : '=';
        *out++ = left > 2 ? alphabet[bits & 63] : '=';
    }
    return pi_buf_add(ret, text, (size_t)(out - text));
}

int pi_base64_decode(const char *text, size_t length, uint8_t *ret, size_t *ret_size)
{
    if (length % 4)
        return -EINVAL;
    size_t padding = length == 0 || text[length - 1] != '=' ? 0 : text[length - 2] != '=' ? 1 : 2;
    uint32_t bits = 0;
    for (size_t i = 0; i < length; i++) {
        const char *at = i < length - padding ? memchr(alphabet, text[i], sizeof alphabet) : alphabet;
        if (!at)
            return -EINVAL;
        bits = bits << 6 | (uint32_t)(at - alphabet);
        if (i % 4 == 3) {
            uint8_t *out = ret + i / 4 * 3;
            out[0] = (uint8_t)(bits >> 16);
            out[1] = (uint8_t)(bits >> 8);
            out[2] = (uint8_t)bits;
        }
    }
    *ret_size = length / 4 * 3 - padding;
    return 0;
}
