#include "agent/seed/validate.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/base/text.h"
#include "agent/seed/yaml_check.h"

/* cloud-init matches the start of the text in any case, the longest first (handlers/__init__.py,
 * INCLUSION_TYPES_MAP). whole: nothing may follow on the line; cloud-init passes over what does, or takes
 * "#cloud-configs" for "#cloud-config". */
static const struct {
    const char *prefix;
    enum seed_kind kind;
    bool whole;
} kinds[] = {
    {"#cloud-config-archive", SEED_ARCHIVE, true},
    {"#cloud-config-jsonp", SEED_JSON_PATCH, true},
    {"#cloud-config", SEED_CLOUD_CONFIG, true},
    {"#cloud-boothook", SEED_BOOTHOOK, true},
    {"#part-handler", SEED_PART_HANDLER, true},
    {"## template: jinja", SEED_JINJA, true},
    {"#include", SEED_INCLUDE, false},
    {"#!", SEED_SCRIPT, false},
};

/* Where cloud-init looks for MIME-Version (user_data.py, convert_string). */
#define MIME_LOOK 4096

static bool is_mime(const char *data, size_t size)
{
    static const char header[] = "mime-version:";
    size_t look = size < MIME_LOOK ? size : MIME_LOOK;
    for (size_t i = 0; i + sizeof header - 1 <= look; i++)
        if (strncasecmp(data + i, header, sizeof header - 1) == 0)
            return true;
    return false;
}

static int first_line_refuse(const char *line, size_t length, struct pi_error *err)
{
    char shown[64];
    pi_text_clean(line, length, shown, sizeof shown);
    if (memmem(line, length, "cloud", 5))
        return pi_refuse(err, PI_USAGE, "the first line is '%s', and must be exactly '#cloud-config'", shown);
    return pi_refuse(err, PI_USAGE,
                     "the first line is '%s', by which cloud-init knows no kind: '#cloud-config' for "
                     "configuration, '#!/bin/sh' or the like for a script",
                     shown);
}

static bool blank(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r')
            return false;
    return true;
}

static int kind_find(const char *data, size_t size, enum seed_kind *ret, struct pi_error *err)
{
    if (size >= 2 && memcmp(data, "\x1f\x8b", 2) == 0) {
        *ret = SEED_GZIP;
        return 0;
    }
    const char *newline = memchr(data, '\n', size);
    size_t length = newline ? (size_t)(newline - data) : size;
    for (size_t i = 0; i < PI_ARRAY_SIZE(kinds); i++) {
        size_t prefix = strlen(kinds[i].prefix);
        if (length < prefix || strncasecmp(data, kinds[i].prefix, prefix) != 0)
            continue;
        if (kinds[i].whole && !blank(data + prefix, length - prefix))
            break;
        *ret = kinds[i].kind;
        return 0;
    }
    if (is_mime(data, size)) {
        *ret = SEED_MIME;
        return 0;
    }
    return first_line_refuse(data, length, err);
}

int seed_user_data_check(const char *data, size_t size, enum seed_kind *ret, struct pi_error *err)
{
    if (size == 0)
        return pi_refuse(err, PI_USAGE, "it is empty");
    if (size > SEED_USER_DATA_MAX)
        return pi_refuse(err, PI_USAGE, "it is larger than %zu bytes", SEED_USER_DATA_MAX);
    enum seed_kind kind = SEED_CLOUD_CONFIG;
    int r = kind_find(data, size, &kind, err);
    if (r == 0 && kind == SEED_CLOUD_CONFIG)
        r = seed_yaml_check(data, size, err);
    if (r == 0)
        *ret = kind;
    return r;
}

int seed_user_data_read(const char *path, struct pi_buf *ret, struct pi_error *err)
{
    pi_auto_buf struct pi_buf text = {0};
    int r = pi_file_read(AT_FDCWD, path, SEED_USER_DATA_MAX, &text, err);
    if (r < 0)
        return pi_context(err, r, "cannot use the user-data");
    enum seed_kind kind;
    r = seed_user_data_check(text.data, text.size, &kind, err);
    if (r < 0)
        return pi_context(err, r, "cannot use the user-data %s", path);
    r = pi_buf_add(ret, text.data, text.size);
    return r < 0 ? pi_fail(err, -r, "cannot use the user-data %s", path) : 0;
}
