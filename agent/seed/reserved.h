/* SPDX-License-Identifier: MIT */
/*
 * The top-level keys of a cloud-config that users may not set, because piagent sets them in the vendor-data
 * (seed/documents.h). cloud-init does not merge these: the user's value would replace piagent's.
 */
#ifndef PIAGENT_SEED_RESERVED_H
#define PIAGENT_SEED_RESERVED_H

#include "agent/seed/findings.h"
#include "agent/seed/yaml_tree.h"

/* Adds an error for each "user" and "ssh_keys", and for a "vendor_data" that switches vendor-data off. */
void seed_reserved_check(const struct seed_node *root, struct seed_findings *findings);

#endif
