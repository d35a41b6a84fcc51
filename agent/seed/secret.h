/* SPDX-License-Identifier: MIT */
/* What of a user-data file may be a secret, and so is in no message and no excerpt. */
#ifndef PIAGENT_SEED_SECRET_H
#define PIAGENT_SEED_SECRET_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the text has a word in it that names secrets ("passwd", "token", "private" ...), or a URL with a
 * password. For a key, a path, a line. */
bool seed_secret_named(const char *text, size_t length);

/*
 * How many bytes of the line (from 1) may be shown: all of it, or no more than its key where the line or one
 * that it lies below, by indentation, names a secret. For any text, also what is no YAML.
 */
size_t seed_secret_shown(const char *data, size_t size, size_t line);

#endif
