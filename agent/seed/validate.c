/* SPDX-License-Identifier: MIT */
#include "agent/seed/validate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/base/text.h"
#include "agent/seed/yaml_check.h"

#define CONFIG_HEADER     "#cloud-config"
#define FIRST_LINE_REMEDY "make the first line exactly '" CONFIG_HEADER "'"

/* cloud-init matches the start of the text in any case, the longest first (handlers/__init__.py,
 * INCLUSION_TYPES_MAP). whole: nothing may follow on the line, as cloud-init passes over what does. */
static const struct {
    const char *prefix;
    enum seed_kind kind;
    bool whole;
} kinds[] = {
    {"#cloud-config-archive", SEED_ARCHIVE, true},
    {"#cloud-config-jsonp", SEED_JSON_PATCH, true},
    {"#cloud-boothook", SEED_BOOTHOOK, true},
    {"#part-handler", SEED_PART_HANDLER, true},
    {"## template: jinja", SEED_JINJA, true},
    {"#include", SEED_INCLUDE, false},
    {"#!", SEED_SCRIPT, false},
};

/* Where cloud-init looks for MIME-Version (user_data.py, convert_string). */
#define MIME_LOOK 4096

static bool starts_with(const char *data, size_t size, const char *prefix)
{
    return size >= strlen(prefix) && strncasecmp(data, prefix, strlen(prefix)) == 0;
}

static bool is_mime(const char *data, size_t size)
{
    static const char header[] = "mime-version:";
    size_t look = size < MIME_LOOK ? size : MIME_LOOK;
    for (size_t i = 0; i + sizeof header - 1 <= look; i++)
        if (strncasecmp(data + i, header, sizeof header - 1) == 0)
            return true;
    return false;
}

static bool blank(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r')
            return false;
    return true;
}

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

/* Where a cloud-config's first line starts, or size. cloud-init drops blanks and empty lines before it, and
 * takes "#cloud-configs" for it as well (handlers/__init__.py, type_from_starts_with). */
static size_t config_find(const char *data, size_t size)
{
    size_t start = 0;
    while (start < size && data[start] && strchr(" \t\r\n\v\f", data[start]))
        start++;
    if (!starts_with(data + start, size - start, CONFIG_HEADER))
        return size;
    for (size_t i = 0; i < PI_ARRAY_SIZE(kinds); i++)
        if (starts_with(data + start, size - start, kinds[i].prefix))
            return size;
    return start;
}

static bool kind_find(const char *data, size_t size, enum seed_kind *ret)
{
    if (size >= 2 && memcmp(data, "\x1f\x8b", 2) == 0) {
        *ret = SEED_GZIP;
        return true;
    }
    const char *newline = memchr(data, '\n', size);
    size_t length = newline ? (size_t)(newline - data) : size;
    for (size_t i = 0; i < PI_ARRAY_SIZE(kinds); i++) {
        size_t prefix = strlen(kinds[i].prefix);
        if (!starts_with(data, length, kinds[i].prefix))
            continue;
        if (kinds[i].whole && !blank(data + prefix, length - prefix))
            return false;
        *ret = kinds[i].kind;
        return true;
    }
    bool config = config_find(data, size) < size;
    if (!config && !is_mime(data, size))
        return false;
    *ret = config ? SEED_CLOUD_CONFIG : SEED_MIME;
    return true;
}

/* The line, from 1, that is nothing but "#cloud-config"; 0 = none. */
static size_t header_line(const char *data, size_t size)
{
    size_t line = 1;
    for (const char *at = data, *end = data + size; at < end; line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((newline ? newline : end) - at), bare = sizeof CONFIG_HEADER - 1;
        if (starts_with(at, length, CONFIG_HEADER) && blank(at + bare, length - bare))
            return line;
        at += length + 1;
    }
    return 0;
}

/* Whether a cloud-config was meant: its first line names one, or has the form of a key. */
static bool first_line_wrong(const char *data, size_t size, struct seed_findings *findings)
{
    static const char bom[] = "\xef\xbb\xbf";
    char shown[64];
    const char *newline = memchr(data, '\n', size);
    size_t length = newline ? (size_t)(newline - data) : size, header = header_line(data, size);
    pi_text_clean(data, length, shown, sizeof shown);
    if (size >= 3 && !memcmp(data, bom, 3))
        seed_findings_addf(findings, SEED_ERROR, 1, 1, NULL, "save it as UTF-8 without BOM",
                           "the file starts with a byte order mark, by which cloud-init knows no kind");
    else if (header)
        seed_findings_addf(findings, SEED_ERROR, header, 1, NULL, "remove what stands above it",
                           "'#cloud-config' must be the first line");
    else if (memmem(data, length, "cloud", 5))
        seed_findings_addf(findings, SEED_ERROR, 1, 1, NULL, FIRST_LINE_REMEDY, "the first line is '%s'",
                           shown);
    else if (memchr(data, ':', length))
        seed_findings_addf(findings, SEED_ERROR, 1, 1, NULL, "put the line '#cloud-config' above it",
                           "the first line is '%s', by which cloud-init knows no kind", shown);
    else {
        seed_findings_addf(findings, SEED_ERROR, 1, 1, NULL,
                           "'#cloud-config' for configuration, '#!/bin/sh' or the like for a script",
                           "the first line is '%s', by which cloud-init knows no kind", shown);
        return false;
    }
    return true;
}

/* What cloud-init takes all the same: a comment behind it is no slip. */
static void config_header_check(const char *data, size_t size, struct seed_findings *findings)
{
    char shown[64];
    size_t start = config_find(data, size), line = 1;
    const char *newline = memchr(data + start, '\n', size - start);
    size_t length = newline ? (size_t)(newline - data) - start : size - start;
    size_t bare = sizeof CONFIG_HEADER - 1;
    for (size_t i = 0; i < start; i++)
        line += data[i] == '\n';
    pi_text_clean(data + start, length, shown, sizeof shown);
    if (start)
        seed_findings_addf(findings, SEED_WARNING, line, 0, NULL, "remove what stands above or before it",
                           "'" CONFIG_HEADER "' should be the first line: not all programs look further");
    if (!blank(data + start + bare, length - bare) && !pi_starts_with(shown + bare, " #"))
        seed_findings_addf(findings, SEED_WARNING, line, 1, NULL, FIRST_LINE_REMEDY, "the first line is '%s'",
                           shown);
}

/* The kernel takes the program as it is written, a carriage return included. */
static void script_check(const char *data, size_t size, struct seed_findings *findings)
{
    const char *newline = memchr(data, '\n', size);
    size_t length = newline ? (size_t)(newline - data) : size, at = 2;
    while (at < length && (data[at] == ' ' || data[at] == '\t'))
        at++;
    if (at >= length || data[at] != '/')
        seed_findings_addf(findings, SEED_ERROR, 1, at + 1, NULL, "as '#!/bin/sh', or '#!/usr/bin/env bash'",
                           "'#!' needs the path of a program");
    else if (data[length - 1] == '\r')
        seed_findings_addf(findings, SEED_ERROR, 1, length, NULL, "save it with Unix line ends",
                           "the line ends as Windows has it, so that no program of this name is found");
}

/* What cloud-init renders first is told apart by its second line. */
static void jinja_check(const char *data, size_t size, struct seed_findings *findings)
{
    enum seed_kind inner;
    const char *newline = memchr(data, '\n', size);
    size_t rest = newline ? (size_t)(newline + 1 - data) : size;
    if (!kind_find(data + rest, size - rest, &inner))
        seed_findings_addf(findings, SEED_ERROR, 2, 1, NULL, "put '#cloud-config' into the second line",
                           "no known kind follows the template's first line");
}

int seed_user_data_findings(const char *data, size_t size, enum seed_kind *ret_kind,
                            struct seed_findings *findings)
{
    enum seed_kind kind = SEED_CLOUD_CONFIG;
    if (size == 0 || size > SEED_USER_DATA_MAX) {
        *ret_kind = kind;
        seed_findings_addf(findings, SEED_ERROR, 0, 0, NULL, NULL,
                           size ? "it is larger than %zu bytes" : "it is empty", SEED_USER_DATA_MAX);
        return 0;
    }
    bool known = kind_find(data, size, &kind);
    bool config = known ? kind == SEED_CLOUD_CONFIG : first_line_wrong(data, size, findings);
    int r = config ? seed_yaml_check(data, size, findings) : 0;
    if (known && config)
        config_header_check(data, size, findings);
    if (known && kind == SEED_SCRIPT)
        script_check(data, size, findings);
    if (known && kind == SEED_JINJA)
        jinja_check(data, size, findings);
    if (r < 0)
        return r;
    seed_findings_sort(findings);
    *ret_kind = kind;
    return 0;
}

int seed_user_data_check(const char *data, size_t size, enum seed_kind *ret, struct pi_error *err)
{
    enum seed_kind kind;
    char text[sizeof err->text / 2], more[64] = "";
    pi_auto_free struct seed_findings *findings = calloc(1, sizeof *findings);
    int r = findings ? seed_user_data_findings(data, size, &kind, findings) : -ENOMEM;
    if (r < 0)
        return pi_fail(err, -r, "cannot check the user-data");
    if (!findings->errors) {
        *ret = kind;
        return 0;
    }
    const struct seed_finding *first = findings->items;
    while (first->severity != SEED_ERROR)
        first++;
    if (findings->errors > 1)
        snprintf(more, sizeof more, " (and %zu more)", findings->errors - 1);
    return pi_refuse(err, PI_USAGE, "%s%s", seed_finding_format(first, text, sizeof text), more);
}

static int read_input(struct pi_buf *ret, struct pi_error *err)
{
    char bytes[4096];
    ssize_t n;
    while ((n = read(STDIN_FILENO, bytes, sizeof bytes)) > 0 && ret->size <= SEED_USER_DATA_MAX)
        if (pi_buf_add(ret, bytes, (size_t)n) < 0)
            return pi_fail(err, ENOMEM, "cannot read the standard input");
    return n < 0 ? pi_fail(err, errno, "cannot read the standard input") : 0;
}

int seed_user_data_read(const char *path, struct pi_buf *ret, struct pi_error *err)
{
    pi_auto_buf struct pi_buf text = {0};
    int r = !strcmp(path, "-") ? read_input(&text, err)
                               : pi_file_read(AT_FDCWD, path, SEED_USER_DATA_MAX, &text, err);
    if (r == -ENOENT)
        return pi_refuse(err, PI_NOT_FOUND, "there is no file %s", path);
    if (r < 0)
        return pi_context(err, r, "cannot use the user-data");
    r = pi_buf_add(ret, text.data ? text.data : "", text.size);
    return r < 0 ? pi_fail(err, -r, "cannot use the user-data %s", path) : 0;
}
