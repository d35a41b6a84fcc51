/* SPDX-License-Identifier: MIT */
#include "agent/seed/kind.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"
#include "agent/seed/mime.h"

#define CONFIG_MARKER "#cloud-config"

/* The text that may follow a marker on its line. */
enum line_rule {
    LINE_FREE,   /* anything: it is part of the content */
    LINE_LOOSE,  /* a comment */
    LINE_BARE,   /* nothing: it would become part of the content */
    LINE_STRICT, /* nothing: cloud-init would ignore the whole file */
};

/* cloud-init uses the longest marker that the text starts with, so the longest stands first
 * (handlers/__init__.py, INCLUSION_TYPES_MAP). */
static const struct marker {
    const char *text;
    enum seed_kind kind;
    enum line_rule rule;
    bool first; /* it must be the first bytes of the file */
} markers[] = {
    {"#cloud-config-archive", SEED_ARCHIVE, LINE_LOOSE, false},
    {"#cloud-config-jsonp", SEED_JSON_PATCH, LINE_STRICT, false},
    {"## template: jinja", SEED_JINJA, LINE_STRICT, true},
    {"#cloud-boothook", SEED_BOOTHOOK, LINE_BARE, false},
    {CONFIG_MARKER, SEED_CLOUD_CONFIG, LINE_LOOSE, false},
    {"#part-handler", SEED_PART_HANDLER, LINE_LOOSE, false},
    {"#include", SEED_INCLUDE, LINE_FREE, false},
    {"#!", SEED_SCRIPT, LINE_FREE, true},
};

const char *seed_kind_name(enum seed_kind kind)
{
    static const char *const names[] = {
        [SEED_CLOUD_CONFIG] = "a cloud-config",
        [SEED_JINJA] = "a Jinja template",
        [SEED_SCRIPT] = "a script",
        [SEED_INCLUDE] = "a list of addresses",
        [SEED_BOOTHOOK] = "a boot hook",
        [SEED_ARCHIVE] = "an archive of parts",
        [SEED_JSON_PATCH] = "a JSON patch",
        [SEED_PART_HANDLER] = "a part handler",
        [SEED_MIME] = "MIME, in several parts",
        [SEED_GZIP] = "compressed",
    };
    return names[kind];
}

static bool starts_with(const char *data, size_t size, const char *prefix)
{
    return size >= strlen(prefix) && strncasecmp(data, prefix, strlen(prefix)) == 0;
}

static bool is_blank(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r')
            return false;
    return true;
}

/* The length of the line that starts at start. */
static size_t line_length(const char *data, size_t size, size_t start)
{
    const char *newline = memchr(data + start, '\n', size - start);
    return newline ? (size_t)(newline - data) - start : size - start;
}

/* Skips the ASCII characters that Python's str.lstrip() removes. */
static size_t blanks_skip(const char *data, size_t size)
{
    size_t start = 0;
    while (start < size && data[start] && strchr(" \t\r\n\v\f\x1c\x1d\x1e\x1f", data[start]))
        start++;
    return start;
}

static const struct marker *marker_at(const char *data, size_t size, size_t *ret_start)
{
    *ret_start = blanks_skip(data, size);
    for (size_t i = 0; i < PI_ARRAY_SIZE(markers); i++)
        if (starts_with(data + *ret_start, size - *ret_start, markers[i].text))
            return &markers[i];
    return NULL;
}

bool seed_marker_find(const char *data, size_t size, enum seed_kind *ret, size_t *ret_start)
{
    size_t start;
    const struct marker *marker = marker_at(data, size, &start);
    if (!marker)
        return false;
    *ret = marker->kind;
    if (ret_start)
        *ret_start = start;
    return true;
}

static void kind_error_add(struct seed_findings *findings, size_t line, const char *remedy, const char *what)
{
    seed_findings_addf(findings, SEED_ERROR, line, 1, NULL, remedy, "%s", what);
}

/* Checks what stands above a marker, or before it in its line. */
static void above_check(const struct marker *marker, const char *data, size_t start, const char *line_text,
                        struct seed_findings *findings)
{
    char remedy[96];
    size_t line = 1;
    for (size_t i = 0; i < start; i++)
        line += data[i] == '\n';
    if (marker->kind == SEED_JINJA)
        line_text = marker->text;
    snprintf(remedy, sizeof remedy, "remove the %s '%.48s'", line > 1 ? "empty line above" : "blanks before",
             line_text);
    if (marker->first)
        kind_error_add(findings, 1, remedy,
                       marker->kind == SEED_SCRIPT
                           ? "a script has to begin with '#!': the guest cannot start this one"
                           : "cloud-init looks for a template's marker in line 1 only");
    else
        seed_findings_addf(findings, SEED_WARNING, line, 0, NULL, remedy,
                           "'%s' should be the first line: not all programs look further", marker->text);
}

/* Checks what follows a marker in its line. */
static void behind_check(const struct marker *marker, const char *rest, size_t length, const char *line_text,
                         size_t line, struct seed_findings *findings)
{
    char remedy[96];
    if (marker->rule == LINE_FREE || is_blank(rest, length))
        return;
    snprintf(remedy, sizeof remedy, "make the first line exactly '%s'", marker->text);
    size_t blanks = 0;
    while (blanks < length && is_blank(rest + blanks, 1))
        blanks++;
    if (marker->rule == LINE_LOOSE && blanks && blanks < length && rest[blanks] == '#')
        return;
    bool ignored = marker->rule == LINE_STRICT;
    seed_findings_addf(findings, ignored ? SEED_ERROR : SEED_WARNING, line, 1, NULL, remedy,
                       "the first line is '%s'%s", line_text,
                       ignored ? ", and because of its end cloud-init ignores the whole file" : "");
}

/* The kernel takes the program's name as it is written, also with a carriage return. */
static void script_check(const char *data, size_t size, struct seed_findings *findings)
{
    size_t length = line_length(data, size, 0), at = 2;
    while (at < length && (data[at] == ' ' || data[at] == '\t'))
        at++;
    if (at >= length || data[at] != '/')
        seed_findings_addf(findings, SEED_ERROR, 1, at + 1, NULL, "as '#!/bin/sh', or '#!/usr/bin/env bash'",
                           "'#!' needs the path of a program");
    else if (data[length - 1] == '\r')
        seed_findings_addf(
            findings, SEED_ERROR, 1, length, NULL, "save it with Unix line ends",
            "the line ends with a carriage return, as on Windows, so that the guest finds no program of this name");
}

/* cloud-init tells the kind by the rendered text. It renders a cloud-config, a script or, since 25.1, a boot
 * hook. If a statement precedes the marker, only rendering can tell. */
static void jinja_check(const char *data, size_t size, struct seed_findings *findings)
{
    size_t rest = line_length(data, size, 0), start;
    rest += rest < size;
    const struct marker *marker = marker_at(data + rest, size - rest, &start);
    start += rest;
    if (start + 1 < size && data[start] == '{' && strchr("%#{", data[start + 1]))
        return;
    if (!marker)
        kind_error_add(findings, 2, "put '#cloud-config' into the second line",
                       "the line after '## template: jinja' is not the first line of a known kind");
    else if (marker->kind != SEED_CLOUD_CONFIG && marker->kind != SEED_SCRIPT &&
             marker->kind != SEED_BOOTHOOK)
        kind_error_add(findings, 2, "use '#cloud-config' or a script",
                       "cloud-init renders templates of a cloud-config or a script only");
}

/* The line, from 1, that holds only "#cloud-config"; 0 = none. */
static size_t config_line(const char *data, size_t size)
{
    size_t line = 1, bare = strlen(CONFIG_MARKER);
    for (size_t at = 0, length; at < size; at += length + 1, line++) {
        length = line_length(data, size, at);
        if (starts_with(data + at, length, CONFIG_MARKER) && is_blank(data + at + bare, length - bare))
            return line;
    }
    return 0;
}

/* UTF-16 starts with a mark, or every other byte of its ASCII letters is NUL. */
static bool is_utf16(const char *data, size_t size)
{
    return size >= 2 && (!memcmp(data, "\xff\xfe", 2) || !memcmp(data, "\xfe\xff", 2) ||
                         (!data[0] != !data[1] && (size < 4 || !data[2] != !data[3])));
}

static bool line_has(const char *data, size_t length, const char *word)
{
    for (size_t i = 0; i < length; i++)
        if (starts_with(data + i, length - i, word))
            return true;
    return false;
}

/* Adds findings about a text of no known kind. True if it was probably meant as a cloud-config: its first
 * line names one, or looks like a key. */
static bool unknown_told(const char *data, size_t size, struct seed_findings *findings)
{
    char shown[64];
    size_t length = line_length(data, size, 0), header = config_line(data, size);
    pi_text_clean(data, length, shown, sizeof shown);
    if (size >= 3 && !memcmp(data, "\xef\xbb\xbf", 3)) {
        kind_error_add(findings, 1, "save it as UTF-8 without BOM",
                       "the file starts with a byte order mark (BOM), so cloud-init cannot tell what it is");
        return true;
    }
    if (line_has(data, length, "template") && line_has(data, length, "jinja")) {
        kind_error_add(findings, 1, "write '## template: jinja'", "this is not how a template begins");
        return false;
    }
    if (starts_with(data, size, "content-type:")) {
        kind_error_add(findings, 1, "write it as the first line",
                       "MIME-Version: 1.0 is missing: without it cloud-init does not recognize MIME");
        return false;
    }
    if (header) {
        kind_error_add(findings, header, "remove what stands above it",
                       "'" CONFIG_MARKER "' must be the first line");
        return true;
    }
    if (line_has(data, length, "cloud")) {
        seed_findings_addf(findings, SEED_ERROR, 1, 1, NULL,
                           "make the first line exactly '" CONFIG_MARKER "'", "the first line is '%s'",
                           shown);
        return true;
    }
    bool key = memchr(data, ':', length) != NULL;
    seed_findings_addf(findings, SEED_ERROR, 1, 1, NULL,
                       key ? "put the line '" CONFIG_MARKER "' above it"
                           : "'" CONFIG_MARKER "' for configuration, '#!/bin/sh' or the like for a script",
                       "the first line is '%s', so cloud-init cannot tell what it is", shown);
    return key;
}

/* cloud-init ignores text of any kind that is not UTF-8 (type_from_starts_with). */
static bool utf8_check(const char *data, size_t size, struct seed_findings *findings)
{
    size_t line = 1, column = 1;
    if (is_utf16(data, size)) {
        kind_error_add(findings, 1, "save it as UTF-8", "it is saved as UTF-16");
        return false;
    }
    for (size_t at = 0, length; at < size; at += length) {
        length = pi_utf8_length(data + at, size - at);
        if (!length) {
            seed_findings_addf(findings, SEED_ERROR, line, column, NULL, "save the file as UTF-8",
                               "byte %zu is not UTF-8: cloud-init ignores the whole file", at + 1);
            return false;
        }
        line += data[at] == '\n';
        column = data[at] == '\n' ? 1 : column + 1;
    }
    return true;
}

static void marker_check(const struct marker *marker, const char *data, size_t size, size_t start,
                         struct seed_findings *findings)
{
    char shown[64];
    size_t length = line_length(data, size, start), bare = strlen(marker->text), line = 1;
    for (size_t i = 0; i < start; i++)
        line += data[i] == '\n';
    pi_text_clean(data + start, length, shown, sizeof shown);
    if (start)
        above_check(marker, data, start, shown, findings);
    behind_check(marker, data + start + bare, length - bare, shown, line, findings);
    if (marker->kind == SEED_SCRIPT)
        script_check(data + start, size - start, findings);
    if (marker->kind == SEED_JINJA)
        jinja_check(data + start, size - start, findings);
}

bool seed_kind_check(const char *data, size_t size, enum seed_kind *ret, struct seed_findings *findings)
{
    size_t start;
    *ret = SEED_CLOUD_CONFIG;
    if (size >= 2 && memcmp(data, "\x1f\x8b", 2) == 0) {
        *ret = SEED_GZIP;
        return false;
    }
    if (!utf8_check(data, size, findings))
        return false;
    const struct marker *marker = marker_at(data, size, &start);
    if (marker) {
        *ret = marker->kind;
        marker_check(marker, data, size, start, findings);
        return marker->kind == SEED_CLOUD_CONFIG;
    }
    if (!seed_is_mime(data, size))
        return unknown_told(data, size, findings);
    *ret = SEED_MIME;
    seed_mime_check(data, size, findings);
    return false;
}
