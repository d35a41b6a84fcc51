/* SPDX-License-Identifier: MIT */
/* Asks a server if a URL still serves the image that was fetched from it. For images without a checksum. */
#ifndef PIAGENT_IMAGE_CHANGED_H
#define PIAGENT_IMAGE_CHANGED_H

#include "agent/base/error.h"
#include "agent/image/meter.h"
#include "agent/image/provenance.h"

/* Asks the server with the validators that stored came with (RFC 9110, 13.1.2 and 13.1.3). 1 if it serves the
 * same; 0 if it serves something else or cannot tell; else image_http_failed(), or -ECANCELED. */
int image_is_unchanged(const char *url, const struct image *stored, struct image_meter *meter,
                       struct pi_error *err);

#endif
