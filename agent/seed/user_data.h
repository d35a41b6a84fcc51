/* SPDX-License-Identifier: MIT */
/* Reads and checks the user's own user-data before an instance is made, so that a mistake shows at once and
 * not in a guest's log. User-data that passes goes to the guest unaltered. */
#ifndef PIAGENT_SEED_USER_DATA_H
#define PIAGENT_SEED_USER_DATA_H

#include <stddef.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/seed/findings.h"
#include "agent/seed/kind.h"

#define SEED_USER_DATA_MAX ((size_t)1 << 20)

/*
 * Tells the kind, and finds what cloud-init would refuse, or ignore without a word:
 *
 * - in any kind: a wrong first line (seed/kind.h), and MIME that cloud-init does not recognize;
 * - in a cloud-config: invalid YAML, or YAML that PyYAML rejects (seed/pyyaml.h); a key twice; a top level
 *   that is not a mapping; more than the bounds (seed/yaml_tree.h); what cloud-init's schema does not allow
 *   (seed/schema.h); and keys that piagent sets itself (seed/reserved.h).
 *
 * Expands nothing. If the kind is unknown, but the text was probably meant as a cloud-config, checks it as
 * one. 0 with *ret_kind and findings (added, in order), or -ENOMEM.
 */
int seed_user_data_findings(const char *data, size_t size, enum seed_kind *ret_kind,
                            struct seed_findings *findings);

/* The same in one line: PI_USAGE with the first error, and how many more there are. */
int seed_user_data_check(const char *data, size_t size, enum seed_kind *ret, struct pi_error *err);

/* Reads a file, or standard input if path is "-", and appends it to ret. PI_NOT_FOUND if there is no such
 * file. */
int seed_user_data_read(const char *path, struct pi_buf *ret, struct pi_error *err);

#endif
