/* SPDX-License-Identifier: MIT */
/* Checks user-data in MIME as cloud-init reads it, with Python's email package. */
#ifndef PIAGENT_SEED_MIME_H
#define PIAGENT_SEED_MIME_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/seed/findings.h"

/* Tells if cloud-init takes the text for MIME: "MIME-Version:" is somewhere near its start (user_data.py,
 * convert_string). */
bool seed_is_mime(const char *data, size_t size);

/* Adds an error if cloud-init would ignore the whole text: the first line is not a header, the boundary is
 * missing or does not occur, or cloud-init knows none of the types. Adds a warning for each part that
 * cloud-init ignores. Does not check the content of the parts. */
void seed_mime_check(const char *data, size_t size, struct seed_findings *findings);

#endif
