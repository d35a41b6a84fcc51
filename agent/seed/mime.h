/* SPDX-License-Identifier: MIT */
/* User-data as MIME: what cloud-init, which reads it with Python's email package, sees in it. */
#ifndef PIAGENT_SEED_MIME_H
#define PIAGENT_SEED_MIME_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/seed/findings.h"

/* Whether cloud-init takes the text for MIME: "MIME-Version:" is somewhere at its start (user_data.py,
 * convert_string). */
bool seed_is_mime(const char *data, size_t size);

/* Adds an error where cloud-init finds no part that is for it: no header in the first line, no boundary or
 * one that does not occur, types that it does not know; and a warning for each part that it passes over. What
 * is in the parts is not looked into. */
void seed_mime_check(const char *data, size_t size, struct seed_findings *findings);

#endif
