/* SPDX-License-Identifier: MIT */
/*
 * A struct and its JSON object, bound by one table: the same table reads, checks and writes records, requests
 * and replies. A struct that is bound owns its strings: pi_fields_done() frees them. Zeroed memory is a valid
 * empty struct.
 */
#ifndef PIAGENT_BASE_FIELDS_H
#define PIAGENT_BASE_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"

enum pi_field_type {
    PI_FIELD_STRING, /* char *: NULL when absent or null */
    PI_FIELD_TEXT,   /* char[size]: a longer one is refused */
    PI_FIELD_U64,    /* uint64_t within min..max (max 0 = INT64_MAX, JSON integers' own limit here) */
    PI_FIELD_BOOL,   /* bool */
    PI_FIELD_ENUM,   /* an enum stored as int; names[value] on the wire */
    PI_FIELD_STRV,   /* struct pi_strv: an array of strings, at most max (0 = 64) of them */
    PI_FIELD_STRUCT, /* an embedded struct with a table of its own, as a nested object */
    PI_FIELD_JSON,   /* json_t *: any value, as it is */
};

struct pi_field {
    const char *key;
    enum pi_field_type type;
    size_t offset;
    size_t size;       /* PI_FIELD_TEXT: of the array */
    bool required;     /* else an absent key leaves what was there before: set defaults first */
    bool zero_is_none; /* PI_FIELD_U64: 0 is no value, and left out when written */
    uint64_t min, max;
    const char *const *names;      /* PI_FIELD_ENUM: ends with NULL */
    const struct pi_field *nested; /* PI_FIELD_STRUCT: its table */
    const char *help;              /* what it is, for documents made from the table; may be NULL */
};

/* A table ends with {0}. */
#define PI_FIELD(struct_, member, type_, ...)                                      \
    {                                                                              \
        .key = #member, .type = type_, .offset = offsetof(struct struct_, member), \
        .size = sizeof(((struct struct_ *)0)->member), __VA_ARGS__                 \
    }

/*
 * Reads object into *ret by the table. Unknown keys are passed over where lenient (a record of a newer
 * version), else refused by name. On failure (PI_USAGE, the key named) *ret holds what was read so far: free
 * it with pi_fields_done().
 */
int pi_fields_read(const struct pi_field *table, const json_t *object, bool lenient, void *ret,
                   struct pi_error *err);

/* The object, a new reference; NULL without memory. NULL strings and JSON values, empty texts, and numbers of
 * which 0 is none, are left out. */
json_t *pi_fields_write(const struct pi_field *table, const void *from);

/* Frees all that the struct owns and zeroes those members. */
void pi_fields_done(const struct pi_field *table, void *owner);

/*
 * To be called first in main(): from then on the process ends (PI_HOST, said on its standard error) where
 * jansson gets no memory. Its parser goes on without the characters that it had no room for, and reads and
 * writes past its buffers where that was a string's end (load.c, lex_scan_string).
 */
void pi_json_protect(void);

/* Parses JSON text that came from outside: one object, no duplicate keys. max depth is jansson's (2048). New
 * reference or NULL. */
json_t *pi_json_parse(const char *text, size_t size, struct pi_error *err);

#endif
