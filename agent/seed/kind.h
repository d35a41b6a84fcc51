/* SPDX-License-Identifier: MIT */
/* The kinds of user-data that cloud-init takes ("User data formats" of its documentation), and how it tells
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

/* The kind by the marker that the text begins with. As cloud-init does, blanks and empty lines before it are
 * passed over, and case counts for nothing. ret_start (may be NULL): where the marker is. */
bool seed_marker_find(const char *data, size_t size, enum seed_kind *ret, size_t *ret_start);

/*
 * Tells the kind, and adds what is wrong with the line that tells it: none, a misspelt one, what stands above
 * it or behind it, a script without a program, a template of nothing that is known, MIME that cloud-init does
 * not see (seed/mime.h), text that is not UTF-8. Returns whether the text is to be looked at as a
 * cloud-config: also where it was only meant to be one.
 */
bool seed_kind_check(const char *data, size_t size, enum seed_kind *ret, struct seed_findings *findings);

#endif
