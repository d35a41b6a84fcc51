/* SPDX-License-Identifier: MIT */
/* Reads and writes names, sizes and durations as people write them, and makes text safe to show. Pure. */
#ifndef PIAGENT_BASE_TEXT_H
#define PIAGENT_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/error.h"

/* An instance's name is also its host name (RFC 1123 label): 1 to 63 of a-z, 0-9 and '-', no '-' at either
 * end. */
#define PI_NAME_MAX 63
int pi_name_check(const char *name, struct pi_error *err);

/* "512M", "1G", "1.5 GiB", "20g", "4096" (bytes): units are powers of 1024, K M G T P, with or without "B" or
 * "iB". Less than an EiB. */
int pi_size_parse(const char *text, uint64_t *ret_bytes, struct pi_error *err);

/* "90s", "2m", "1m30s", "1.5h", "1h 30min", "2 hours", "1 day", "1w", "500ms", "90" (seconds): and
 * all that pi_duration_format() writes. Upper and lower case are the same. */
int pi_duration_parse(const char *text, uint64_t *ret_ms, struct pi_error *err);

/* A whole decimal number from min to max, nothing else beside it. */
int pi_number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *ret, struct pi_error *err);

/* "1.4 GiB", "512 MiB"; "3.2s", "1m30s", "2h05m". buf holds at least 32 bytes; returns buf. */
char *pi_size_format(uint64_t bytes, char buf[32]);
char *pi_duration_format(uint64_t ms, char buf[32]);

/*
 * A copy of text that is safe on a terminal and on one line: characters that are not shown (below) and bytes
 * that are not UTF-8 become '?', a run of white space becomes one space. At most max bytes, cut between
 * characters. Returns buf. Everything that a guest or QEMU said goes through here before it is shown or
 * logged.
 */
char *pi_text_clean(const char *text, size_t length, char *buf, size_t max);

/* The length of the UTF-8 sequence at s (1 to 4), or 0 if it is not one (RFC 3629). */
size_t pi_utf8_length(const char *s, size_t left);

/* Tells if all of it is UTF-8. JSON, and so a record and the API, can hold nothing else. */
bool pi_is_utf8(const char *text);

/* Tells if a character is harmless to show. Controls (C0, C1, DEL), line and paragraph separators, and
 * characters that turn or hide the text around them are not (Unicode's UAX #9, UTS #39: marks, embeddings,
 * overrides and isolates of direction, tags). */
bool pi_char_shows(uint32_t code_point);

/* Tells if all characters of text show: it is UTF-8, and safe on a terminal and on one line as it is. */
bool pi_text_shows(const char *text, size_t length);

bool pi_starts_with(const char *text, const char *prefix);
bool pi_ends_with(const char *text, const char *suffix);

/* Tells if text is exactly count hexadecimal digits. */
bool pi_is_hex(const char *text, size_t count);

/* FNV-1a of 64 bits. Not for inputs that someone may choose to collide. */
uint64_t pi_hash(const char *bytes, size_t size);

/* The word as a shell reads it, quoted only if it must be. Allocated; NULL without memory. */
char *pi_shell_quote(const char *word);

/* The candidate nearest to word, at an edit distance of at most 2 or a third of its length, or NULL. Two
 * letters that changed places are one edit. candidates ends with NULL. */
const char *pi_nearest(const char *word, const char *const *candidates);

/* The same as a remedy: "did you mean NEAREST?" in buf. If none is near, or it is the word itself,
 * otherwise, which may be NULL. */
#define PI_SUGGESTION_SIZE 160
const char *pi_suggest(const char *word, const char *const *candidates, const char *otherwise,
                       char buf[PI_SUGGESTION_SIZE]);

#endif
