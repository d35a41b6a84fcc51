/* SPDX-License-Identifier: MIT */
/* A user's own user-data, checked before an instance is made of it, so that a slip shows in a second and not
 * in a guest's log. What passes goes to the guest unaltered. */
#ifndef PIAGENT_SEED_VALIDATE_H
#define PIAGENT_SEED_VALIDATE_H

#include <stddef.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/seed/findings.h"

#define SEED_USER_DATA_MAX ((size_t)1 << 20)

/* Bounds of a cloud-config: more is an attack on the parser or a mistake. */
#define SEED_YAML_DEPTH_MAX  64
#define SEED_YAML_EVENTS_MAX 200000

/* The kinds that cloud-init takes, by their first line ("User data formats" of its documentation). */
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

/*
 * Tells the kind, and finds what cloud-init would not take or pass over in silence: no or a misspelt first
 * line, a script whose first line names no program; and in a cloud-config what is not YAML, a tab or tag
 * that PyYAML refuses, a key twice, anything but a mapping, the bounds above, unknown and deprecated keys,
 * wrong types, what is no hash or SSH key, and the keys that would switch off what piagent needs in the guest
 * ("user", "vendor_data", "ssh_keys"). Nothing is expanded: an alias costs one event. Where the first line is
 * no known one, the rest is looked at as a cloud-config if it was meant to be one. 0 with *ret_kind and
 * findings (added, in order), or -ENOMEM.
 */
int seed_user_data_findings(const char *data, size_t size, enum seed_kind *ret_kind,
                            struct seed_findings *findings);

/* The same in one line: PI_USAGE with the first error, and how many more there are. */
int seed_user_data_check(const char *data, size_t size, enum seed_kind *ret, struct pi_error *err);

/* Reads a file, or standard input where path is "-"; the bytes are appended to ret. PI_NOT_FOUND where there
 * is none. */
int seed_user_data_read(const char *path, struct pi_buf *ret, struct pi_error *err);

/* "a cloud-config", "a script" ... */
const char *seed_kind_name(enum seed_kind kind);

#endif
