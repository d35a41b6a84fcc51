/* SPDX-License-Identifier: MIT */
/*
 * A struct and its JSON object, bound by one table: the same table reads, checks and writes records, requests
 * and replies. The struct owns its strings: pi_fields_done() frees them. Zeroed memory is a valid empty struct.
 *
 *     struct thing {
 *         char *name;
 *         enum thing_colour colour;
 *         PI_OPEN_ENUM(thing_shape, shape);
 *     };
 *
 *     static const struct pi_field thing_fields[] = {
 *         PI_FIELD(thing, name, PI_FIELD_STRING, .required = true),
 *         PI_ENUM(thing, colour, thing_colour),     the words are thing_colour_names[]
 *         PI_OTHER(thing, shape, thing_shape),      the same, and takes words of later versions
 *         {0},
 *     };
 */
#ifndef PIAGENT_BASE_FIELDS_H
#define PIAGENT_BASE_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/base/offset.h"

enum pi_field_type {
    PI_FIELD_STRING, /* char *: NULL when absent or null */
    PI_FIELD_TEXT,   /* char[size]: a longer one is refused */
    PI_FIELD_U64,    /* uint64_t within min..max (max 0 = INT64_MAX, JSON integers' own limit here) */
    PI_FIELD_BOOL,   /* bool */
    PI_FIELD_ENUM,   /* an enum that counts from 0; names[value] on the wire */
    PI_FIELD_STRV,   /* struct pi_strv: an array of strings, at most max (0 = PI_FIELD_STRV_MAX) of them */
    PI_FIELD_STRUCT, /* an embedded struct with a table of its own, as a nested object */
    PI_FIELD_INLINE, /* the same, but its keys are keys of the object itself; not in a table that is inline */
    PI_FIELD_JSON,   /* json_t *: any value, as it is */
};

#define PI_FIELD_STRV_MAX 64

struct pi_field {
    const char *key;
    enum pi_field_type type;
    size_t offset;
    size_t size; /* PI_FIELD_TEXT: of the array */
    bool
        required; /* else an absent key leaves what was there before: set defaults first. PI_FIELD_INLINE: whether
                      required keys of its table are */
    bool
        zero_is_none; /* PI_FIELD_U64, PI_FIELD_ENUM: 0 is no value, has no word, and is left out when written;
                         PI_FIELD_STRUCT: the same if all of its bytes are 0 */
    uint64_t min, max;
    const char *const *names;      /* PI_FIELD_ENUM: ends with NULL */
    size_t other;                  /* PI_FIELD_ENUM: offset of its char *, see PI_OPEN_ENUM; 0 = none */
    unsigned other_value;          /* of an unknown word; 0 = the value after the last of names[] */
    const struct pi_field *nested; /* PI_FIELD_STRUCT, PI_FIELD_INLINE: its table */
    int (*check)(const char *text, struct pi_error *err); /* PI_FIELD_STRING, PI_FIELD_TEXT, each of
        PI_FIELD_STRV: refuses a text with PI_USAGE, in a sentence of its own; NULL = takes any */
    unsigned
        parts; /* which parts of its table a row belongs to; PI_FIELD_INLINE: of which parts it takes the rows,
                       0 = all. A set of bits that the table's header names */
    const char *help; /* what it is, for documents made from the table; may be NULL */

    /* Written only if this enum of the same struct has this value. NULL: always. */
    const struct pi_field_when {
        size_t offset;
        unsigned value;
    } * when;
};

/* Pointers to the members that a row of each type binds. A row over any other member does not compile. */
#define PI_POINTER_PI_FIELD_STRING(member) char **
#define PI_POINTER_PI_FIELD_TEXT(member)   char(*)[sizeof(member)]
#define PI_POINTER_PI_FIELD_U64(member)    uint64_t *
#define PI_POINTER_PI_FIELD_BOOL(member)   bool *
#define PI_POINTER_PI_FIELD_STRV(member)   struct pi_strv *
#define PI_POINTER_PI_FIELD_STRUCT(member) __typeof__(&(member))
#define PI_POINTER_PI_FIELD_INLINE(member) __typeof__(&(member))
#define PI_POINTER_PI_FIELD_JSON(member)   json_t **

/* A row. type_ is one of the above but PI_FIELD_ENUM, which has PI_ENUM(). A table ends with {0}. */
#define PI_FIELD(struct_, member, type_, ...) \
    PI_FIELD_ROW(struct_, member, type_, PI_POINTER_##type_(((struct struct_ *)0)->member), __VA_ARGS__)
#define PI_FIELD_ROW(struct_, member, type_, pointer, ...)                            \
    {                                                                                 \
        .key = #member, .type = type_, .offset = PI_OFFSET(struct_, member, pointer), \
        .size = sizeof(((struct struct_ *)0)->member), __VA_ARGS__                    \
    }

/* A row for a member of type enum enum_, whose words are enum_##_names. */
#define PI_ENUM(struct_, member, enum_, ...) \
    PI_FIELD_ROW(struct_, member, PI_FIELD_ENUM, enum enum_ *, .names = enum_##_names, __VA_ARGS__)

/*
 * Members for an enum of which later versions know more values. pi_fields_read(), if it is lenient, gives an
 * unknown word the value after the last of names[] (or .other_value), and keeps the word in member_other, which is
 * NULL otherwise. PI_OTHER() is the row. PI_WORD() is the word, known or not.
 */
#define PI_OPEN_ENUM(enum_, member) \
    enum enum_ member;              \
    char *member##_other
#define PI_OTHER(struct_, member, enum_, ...) \
    PI_ENUM(struct_, member, enum_, .other = PI_OFFSET(struct_, member##_other, char **), __VA_ARGS__)
#define PI_WORD(owner, member, enum_) \
    ((owner)->member##_other ? (owner)->member##_other : enum_##_names[(owner)->member])

/*
 * The rows of a table, those of inline tables among them:
 *
 *     for (struct pi_field_walk walk = {.next = table}; pi_fields_next(&walk);)
 *         use(walk.field, walk.base, walk.required, walk.zero_is_none);
 */
struct pi_field_walk {
    const struct pi_field *next;
    const struct pi_field *field; /* the row */
    size_t base;                  /* the struct that its offset counts from begins here in the owner */
    const struct pi_field *outer; /* the row by which its table is inline, or NULL */
    bool required;                /* by the row and the outer one */
    bool zero_is_none;            /* by the row or the outer one */
};
bool pi_fields_next(struct pi_field_walk *walk);

/*
 * Reads object into *ret by the table. If lenient, it comes from a program that may be newer: unknown keys are
 * passed over, and unknown words are taken by rows made with PI_OTHER(). Else both are refused. On failure
 * (PI_USAGE, the key named) *ret holds what was read so far: free it with pi_fields_done().
 */
int pi_fields_read(const struct pi_field *table, const json_t *object, bool lenient, void *ret,
                   struct pi_error *err);

/* The object, a new reference; NULL without memory. These are left out: NULL strings and JSON values, empty
 * texts, and 0 if it is none. */
json_t *pi_fields_write(const struct pi_field *table, const void *from);

/* An array of strings, a new reference; NULL without memory. */
json_t *pi_strv_json(const struct pi_strv *v);

/* Frees all that the struct owns, and zeroes those members. */
void pi_fields_done(const struct pi_field *table, void *owner);

/*
 * Call it first in main(). From then on the process ends (PI_HOST, with a line on its standard error) if jansson
 * gets no memory. jansson's parser would go on without the characters that it had no room for; if one of them
 * was a string's end, it would read and write past its buffers (load.c, lex_scan_string).
 */
void pi_json_protect(void);

/* Parses JSON text that came from outside: one object, no key twice, as deep as jansson allows (2048). New
 * reference, or NULL with err filled. */
json_t *pi_json_parse(const char *text, size_t size, struct pi_error *err);

#endif
