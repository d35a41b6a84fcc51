/* SPDX-License-Identifier: MIT */
/* The kinds of user-data that cloud-init accepts ("User data formats" in its documentation), and how it tells
 * them apart. */
#ifndef PIAGENT_SEED_KIND_H
#define PIAGENT_SEED_KIND_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/seed/findings.h"

enum seed_kind {
    SEED_CLOUD_CONFIG, /* "#cloud-config": the only kind whose content is checked further */
    SEED_JINJA,        /* "## template: jinja" */
    SEED_SCRIPT,       /* "#!" */
    SEED_INCLUDE,      /* "#include", "#include-once" */
    SEED_BOOTHOOK,     /* "#cloud-boothook" */
    SEED_ARCHIVE,      /* "#cloud-config-archive" */
    SEED_JSON_PATCH,   /* "#cloud-config-jsonp" */
    SEED_PART_HANDLER, /* "#part-handler" */
    SEED_MIME,         /* MIME headers, with MIME-Version among them */
    SEED_GZIP,         /* RFC 1952: any of the above, compressed */
};

/* "a cloud-config", "a script" ... */
const char *seed_kind_name(enum seed_kind kind);

/* Tells the kind by the marker at the start of the text. As in cloud-init, blanks and empty lines may precede
 * it, and case does not matter. False if there is none. ret_start (may be NULL): the marker's offset. */
bool seed_marker_find(const char *data, size_t size, enum seed_kind *ret, size_t *ret_start);

/*
 * Tells the kind, and adds findings about the first line: it is missing or misspelt, something stands above
 * or behind the marker, a script names no program, a template has no known kind, cloud-init does not
 * recognize the MIME (seed/mime.h), or the text is not UTF-8. True if the text should be checked as a
 * cloud-config: it is one, or was probably meant to be one.
 */
bool seed_kind_check(const char *data, size_t size, enum seed_kind *ret, struct seed_findings *findings);

#endif
