/* SPDX-License-Identifier: MIT */
/* Fetches small texts over http or https: the index, CHECKSUM files, Metalinks, keys. */
#ifndef PIAGENT_IMAGE_HTTP_TEXT_H
#define PIAGENT_IMAGE_HTTP_TEXT_H

#include <stddef.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/image/meter.h"

/* Fetches a text of at most max bytes, in at most 60 s, and appends it to *ret. Errors as from
 * image_http_failed(), and PI_FAILED with -ECANCELED. */
int image_text_get(const char *url, size_t max, struct image_meter *meter, struct pi_buf *ret,
                   struct pi_error *err);

#endif
