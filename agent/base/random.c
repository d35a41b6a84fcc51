/* SPDX-License-Identifier: MIT */
#include "agent/base/random.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

int pi_random_bytes(void *ret, size_t size)
{
    /* Up to 256 bytes come whole, without EINTR, once the pool is ready (getrandom(2)). */
    if (size > 256)
        return -EINVAL;
    return getrandom(ret, size, 0) == (ssize_t)size ? 0 : -errno;
}

int pi_random_hex(size_t digits, char *ret)
{
    uint8_t bytes[PI_HEX_MAX / 2];
    if (digits > PI_HEX_MAX || digits % 2)
        return -EINVAL;
    int r = pi_random_bytes(bytes, digits / 2);
    for (size_t i = 0; r == 0 && i < digits / 2; i++)
        snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
    return r;
}

int pi_random_uuid(char ret[PI_UUID_LENGTH + 1])
{
    uint8_t b[16];
    int r = pi_random_bytes(b, sizeof b);
    if (r < 0)
        return r;
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    snprintf(ret, PI_UUID_LENGTH + 1, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
             b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
             b[15]);
    return 0;
}
