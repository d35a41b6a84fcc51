/* SPDX-License-Identifier: MIT */
/* What a YAML scalar is to PyYAML, by which cloud-init reads: its implicit resolvers and constructors
 * (resolver.py, constructor.py). They are YAML 1.1's. */
#ifndef PIAGENT_SEED_YAML_TYPE_H
#define PIAGENT_SEED_YAML_TYPE_H

#include <stdbool.h>

/* Types of values, as bits. */
enum seed_type {
    SEED_NULL = 1,
    SEED_BOOL = 2,
    SEED_INTEGER = 4,
    SEED_FLOAT = 8,
    SEED_TEXT = 16,
    SEED_DATE = 32, /* or a time: no text to Python */
    SEED_LIST = 64,
    SEED_MAP = 128,
    SEED_NUMBER = SEED_INTEGER | SEED_FLOAT,
    SEED_SCALARS = 63,
};

/* The type of a plain (unquoted) scalar. */
enum seed_type seed_scalar_type(const char *text);

/* Whether Python can make a value of that type of the text: "2030-02-30" has the form of a date, and is none.
 * Also for a text whose tag asks for the type. */
bool seed_scalar_converts(enum seed_type type, const char *text);

/* Whether a number is written in base 60, as 22:22 is; *ret is its value. */
bool seed_scalar_base60(const char *text, double *ret);

/* Whether the text is base64 as Python's base64.decodebytes() takes it: other characters count for nothing.
 */
bool seed_scalar_is_base64(const char *text);

#endif
