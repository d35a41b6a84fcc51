/* SPDX-License-Identifier: MIT */
/* A user's own user-data, checked before an instance is made of it, so that a slip shows in a second and not
 * in a guest's log. What passes goes to the guest unaltered. */
#ifndef PIAGENT_SEED_USER_DATA_H
#define PIAGENT_SEED_USER_DATA_H

#include <stddef.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/seed/findings.h"
#include "agent/seed/kind.h"

#define SEED_USER_DATA_MAX ((size_t)1 << 20)

/*
 * Tells the kind, and finds what cloud-init would not take or pass over in silence: what is wrong with the
 * first line (seed/kind.h) and with MIME; and in a cloud-config what is not YAML or not PyYAML's
 * (seed/pyyaml.h), a key twice, anything but a mapping, more than the bounds (seed/yaml_tree.h), what
 * cloud-init's schema does not take (seed/schema.h), and the keys that would switch off what piagent needs in
 * the guest (seed/reserved.h). Nothing is expanded. Where the first line is no known one, the rest is looked
 * at as a cloud-config if it was meant to be one. 0 with *ret_kind and findings (added, in order), or
 * -ENOMEM.
 */
int seed_user_data_findings(const char *data, size_t size, enum seed_kind *ret_kind,
                            struct seed_findings *findings);

/* The same in one line: PI_USAGE with the first error, and how many more there are. */
int seed_user_data_check(const char *data, size_t size, enum seed_kind *ret, struct pi_error *err);

/* Reads a file, or standard input where path is "-"; the bytes are appended to ret. PI_NOT_FOUND where there
 * is none. */
int seed_user_data_read(const char *path, struct pi_buf *ret, struct pi_error *err);

#endif
