/* SPDX-License-Identifier: MIT */
#include "agent/image/answer.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/image/http.h"

/* The header's value without the spaces around it, if the line is the header of that name and the value fits.
 */
static bool header_value(const char *line, size_t size, const char *name, char *ret, size_t max)
{
    size_t n = strlen(name);
    if (size <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
        return false;
    for (line += n + 1, size -= n + 1; size && isspace((unsigned char)*line); size--)
        line++;
    while (size && isspace((unsigned char)line[size - 1]))
        size--;
    if (size >= max || memchr(line, '\0', size))
        return false;
    memcpy(ret, line, size);
    ret[size] = '\0';
    return true;
}

/* "bytes 100-199/1000" */
static void read_content_range(const char *value, struct image_answer *answer)
{
    uint64_t start, last, total;
    char rest;
    answer->has_range = sscanf(value, "bytes %19" SCNu64 "-%19" SCNu64 "/%19" SCNu64 "%c", &start, &last,
                               &total, &rest) == 3 &&
                        start <= last && last < total;
    if (answer->has_range) {
        answer->range_start = start;
        answer->range_total = total;
    }
}

int image_answer_read(struct image_answer *answer, const char *line, size_t size)
{
    size_t header_bytes = answer->header_bytes + size;
    char value[256];
    if (header_bytes > IMAGE_HTTP_HEADERS_MAX)
        return -EMSGSIZE;
    if (size > 5 && !memcmp(line, "HTTP/", 5))
        *answer = (struct image_answer){0};
    answer->header_bytes = header_bytes;
    if (header_value(line, size, "ETag", value, sizeof value) && *value == '"')
        memcpy(answer->etag, value, sizeof answer->etag);
    else if (header_value(line, size, "Content-Range", value, sizeof value))
        read_content_range(value, answer);
    else
        header_value(line, size, "Last-Modified", answer->last_modified, sizeof answer->last_modified);
    return 0;
}

bool image_answer_has_range(const struct image_answer *answer, uint64_t at, uint64_t total)
{
    return answer->has_range && answer->range_start == at && answer->range_total == total;
}

static bool validator_agrees(const char *known, const char *answered)
{
    return !known || !*answered || !strcmp(known, answered);
}

bool image_answer_agrees(const struct image_answer *answer, const struct image_resume *resume)
{
    return validator_agrees(resume->etag, answer->etag) &&
           validator_agrees(resume->last_modified, answer->last_modified);
}

int image_answer_check_size(uint64_t size_bytes, uint64_t published_bytes, struct pi_error *err)
{
    if (published_bytes && size_bytes != published_bytes)
        return pi_refuse(
            err, PI_UNVERIFIED,
            "the server has %llu bytes, but %llu are published: try again later, or name another "
            "mirror with PIAGENT_FEDORA_URL",
            (unsigned long long)size_bytes, (unsigned long long)published_bytes);
    if (size_bytes > IMAGE_FILE_MAX)
        return pi_refuse(err, PI_UNVERIFIED, "the server has %llu bytes: no image is that large",
                         (unsigned long long)size_bytes);
    return 0;
}

static int replace_text(char **field, const char *value)
{
    free(*field);
    *field = *value ? strdup(value) : NULL;
    return *value && !*field ? -ENOMEM : 0;
}

int image_answer_keep(const struct image_answer *answer, const char *url, uint64_t size_bytes,
                      struct image_resume *resume)
{
    resume->size_bytes = size_bytes;
    return replace_text(&resume->url, url) < 0 || replace_text(&resume->etag, answer->etag) < 0 ||
                   replace_text(&resume->last_modified, answer->last_modified) < 0
               ? -ENOMEM
               : 0;
}
