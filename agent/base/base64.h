/* SPDX-License-Identifier: MIT */
/* Base64 (RFC 4648, section 4), padded, in one line. */
#ifndef PIAGENT_BASE_BASE64_H
#define PIAGENT_BASE_BASE64_H

#include <stddef.h>
#include <stdint.h>

#include "agent/base/buf.h"

/* Appends the bytes as text. 0 or -ENOMEM. */
int pi_base64_encode(const void *data, size_t size, struct pi_buf *ret);

/* Decodes the text into ret, which has room for 3 bytes for every 4 of the text. 0, or -EINVAL if it is not
 * base64. */
int pi_base64_decode(const char *text, size_t length, uint8_t *ret, size_t *ret_size);

#endif
