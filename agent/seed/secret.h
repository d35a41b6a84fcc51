/* SPDX-License-Identifier: MIT */
/* Tells which parts of a user-data file may be secrets: no message and no excerpt shows them. */
#ifndef PIAGENT_SEED_SECRET_H
#define PIAGENT_SEED_SECRET_H

#include <stdbool.h>
#include <stddef.h>

/* Tells if the text (a key, a path or a line) holds a word for secrets ("passwd", "token", "private" ...), or
 * a URL with a password. */
bool seed_secret_named(const char *text, size_t length);

/*
 * How many bytes of the line (from 1) may be shown. All, or only its key, if the line itself or a line that
 * it belongs to by indentation names a secret. Works on any text, also if it is not YAML.
 */
size_t seed_secret_shown(const char *data, size_t size, size_t line);

#endif
