/* SPDX-License-Identifier: MIT */
#include "agent/image/checksum.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/text.h"

#define LINE_MAX_BYTES 1024

static const char signed_begin[] = "-----BEGIN PGP SIGNED MESSAGE-----";
static const char signature_begin[] = "-----BEGIN PGP SIGNATURE-----";

int image_sha256_parse(const char *text, char ret[IMAGE_SHA256_LENGTH + 1], struct pi_error *err)
{
    if (!pi_is_hex(text, IMAGE_SHA256_LENGTH))
        return pi_refuse(err, PI_USAGE, "'%.80s' is not a SHA-256: 64 hexadecimal digits", text);
    for (size_t i = 0; i <= IMAGE_SHA256_LENGTH; i++)
        ret[i] = (char)tolower((unsigned char)text[i]);
    return 0;
}

struct reader {
    const char *at, *end;
    char line[LINE_MAX_BYTES]; /* the one just read */
};

/* 1 with the next line, without its end; 0 after the last one; -EBADMSG for one that is too long or holds a
 * NUL. */
static int next_checksum_line(struct reader *r)
{
    if (r->at == r->end)
        return 0;
    size_t left = (size_t)(r->end - r->at);
    const char *newline = memchr(r->at, '\n', left);
    size_t length = newline ? (size_t)(newline - r->at) : left;
    if (length >= sizeof r->line || memchr(r->at, '\0', length))
        return -EBADMSG;
    memcpy(r->line, r->at, length);
    while (length && (r->line[length - 1] == '\r' || r->line[length - 1] == ' '))
        length--;
    r->line[length] = '\0';
    r->at = newline ? newline + 1 : r->end;
    return 1;
}

/* Moves past the armor's headers, and sets the end before the signature. False if the signature is
 * missing. */
static bool unwrap_armor(struct reader *r)
{
    struct reader body = *r;
    int more = next_checksum_line(&body);
    if (more <= 0 || strcmp(body.line, signed_begin) != 0)
        return true;
    do
        more = next_checksum_line(&body);
    while (more > 0 && *body.line);
    r->at = body.at;
    while (more > 0) {
        r->end = body.at;
        more = next_checksum_line(&body);
        if (more > 0 && !strcmp(body.line, signature_begin))
            return true;
    }
    return false;
}

/* The text after prefix + file + middle in line, or NULL. */
static const char *text_after(const char *line, const char *prefix, const char *file, const char *middle)
{
    const char *const parts[] = {prefix, file, middle};
    for (size_t i = 0; i < 3; i++) {
        if (!pi_starts_with(line, parts[i]))
            return NULL;
        line += strlen(parts[i]);
    }
    return line;
}

static bool read_size(const char *text, uint64_t *ret)
{
    char digits[24];
    size_t n = strspn(text, "0123456789");
    if (n >= sizeof digits || strcmp(text + n, " bytes") != 0)
        return false;
    memcpy(digits, text, n);
    digits[n] = '\0';
    return pi_number_parse(digits, 1, INT64_MAX, ret, NULL) == 0;
}

/* Reads a line of a CHECKSUM file into *ret, if it is about file. False if the line is neither a comment nor
 * a checksum. */
static bool read_checksum_line(const char *line, const char *file, struct image_checksum *ret)
{
    const char *rest;
    if ((rest = text_after(line, "# ", file, ": ")))
        return !ret->size_bytes && read_size(rest, &ret->size_bytes);
    if ((rest = text_after(line, "SHA256 (", file, ") = ")))
        return !ret->sha256[0] && image_sha256_parse(rest, ret->sha256, NULL) == 0;
    return true;
}

int image_checksum_find(const char *text, size_t size, const char *file, struct image_checksum *ret,
                        struct pi_error *err)
{
    struct reader reader = {.at = text, .end = text + size};
    struct image_checksum found = {0};
    if (size > IMAGE_CHECKSUM_FILE_MAX || !unwrap_armor(&reader))
        return pi_refuse(err, PI_UNVERIFIED, "the CHECKSUM file is too long, or its signature is missing");
    int more;
    while ((more = next_checksum_line(&reader)) > 0)
        if (!read_checksum_line(reader.line, file, &found))
            return pi_refuse(err, PI_UNVERIFIED, "the CHECKSUM file is damaged in the line for %s", file);
    if (more < 0)
        return pi_refuse(err, PI_UNVERIFIED, "the CHECKSUM file is damaged");
    if (!found.sha256[0])
        return pi_refuse(err, PI_UNVERIFIED, "the CHECKSUM file has no SHA-256 for %s", file);
    *ret = found;
    return 0;
}
