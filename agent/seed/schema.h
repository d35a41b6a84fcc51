/* SPDX-License-Identifier: MIT */
/*
 * What cloud-init takes in a cloud-config: its top-level keys, and the shape of those that people write. The
 * facts are those of cloud-init's own schemas from 22.4 to 26 together, so that a key of any of them is
 * known.
 */
#ifndef PIAGENT_SEED_SCHEMA_H
#define PIAGENT_SEED_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

/* Types of YAML 1.1 values, as bits. */
enum seed_type {
    SEED_NULL = 1,
    SEED_BOOL = 2,
    SEED_NUMBER = 4,
    SEED_TEXT = 8,
    SEED_DATE = 16, /* or a time: no text to Python */
    SEED_LIST = 32,
    SEED_MAP = 64,
    SEED_SCALARS = 31,
};

/* What else a text is looked at for. */
enum seed_look { SEED_LOOK_NONE, SEED_LOOK_HASH, SEED_LOOK_SSH_KEY, SEED_LOOK_MODE };

struct seed_shape {
    const char *path;     /* "users[].name": [] is any item of a list, * any key of a mapping */
    unsigned types;       /* that it may have */
    const char *words;    /* the texts that it may be, with spaces between; NULL = any */
    const char *instead;  /* deprecated: what to write */
    const char *needs[2]; /* keys of a mapping of which it must have one; NULL = none */
    enum seed_look look;
};

/* The shape at path, or NULL where nothing is known of it. */
const struct seed_shape *seed_shape_find(const char *path);

/* Whether the keys of the mapping at path ("" = the top level) are known: any other is a slip. */
bool seed_shape_is_closed(const char *path);

/* The known key nearest to key in the mapping at path, or NULL. */
const char *seed_shape_nearest(const char *path, const char *key);

/* The type of a plain (unquoted) scalar, as PyYAML resolves it. */
enum seed_type seed_scalar_type(const char *text, size_t length);

#endif
