/* SPDX-License-Identifier: MIT */
/* Reads the headers of a server's answer to a request for an image (RFC 9110). Pure functions. */
#ifndef PIAGENT_IMAGE_ANSWER_H
#define PIAGENT_IMAGE_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/error.h"
#include "agent/image/resume.h"

#define IMAGE_FILE_MAX ((uint64_t)64 << 30) /* bytes: no image is larger */

/* Zeroed memory is an answer without headers. */
struct image_answer {
    char etag[256], last_modified[64]; /* "" = none; a weak ETag counts as none */
    uint64_t range_start, range_total; /* of Content-Range, if has_range */
    bool has_range;
    size_t header_bytes; /* so far */
};

/* Reads one header line. A status line begins a new answer, because the one before was a redirect.
 * -EMSGSIZE if the answer has more than IMAGE_HTTP_HEADERS_MAX bytes of headers. */
int image_answer_read(struct image_answer *answer, const char *line, size_t size);

/* Tells if the answer is a range that begins at `at`, of an object of total bytes. */
bool image_answer_has_range(const struct image_answer *answer, uint64_t at, uint64_t total);

/* Tells if the answer may be the object that resume was made of: their validators do not contradict each
 * other. */
bool image_answer_agrees(const struct image_answer *answer, const struct image_resume *resume);

/* Refuses (PI_UNVERIFIED) a size that differs from the published one (0 = unknown) or is above
 * IMAGE_FILE_MAX. */
int image_answer_check_size(uint64_t size_bytes, uint64_t published_bytes, struct pi_error *err);

/* Fills resume, which later answers must agree with: url answered, for an object of size_bytes (0 = unknown).
 * 0 or -ENOMEM. */
int image_answer_keep(const struct image_answer *answer, const char *url, uint64_t size_bytes,
                      struct image_resume *resume);

#endif
