/* SPDX-License-Identifier: MIT */
/* Types YAML scalars as PyYAML does, which cloud-init uses: its implicit resolvers and constructors
 * (resolver.py, constructor.py), which are those of YAML 1.1. */
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
    SEED_DATE = 32, /* or a time; Python does not read it as text */
    SEED_LIST = 64,
    SEED_MAP = 128,
    SEED_NUMBER = SEED_INTEGER | SEED_FLOAT,
    SEED_SCALARS = 63,
};

/* The type of a plain (unquoted) scalar. */
enum seed_type seed_scalar_type(const char *text);

/* Tells if Python can convert the text to the type, which comes from the text's form or from a tag:
 * "2030-02-30" has the form of a date, but there is no such date. */
bool seed_scalar_converts(enum seed_type type, const char *text);

/* Tells if a number is written in base 60, as 22:22 is; *ret is its value. */
bool seed_scalar_base60(const char *text, double *ret);

/* Tells if Python's base64.decodebytes() decodes the text. It ignores other characters. */
bool seed_scalar_is_base64(const char *text);

#endif
