/* SPDX-License-Identifier: MIT */
/*
 * The keys of a cloud-config's top level that would take from piagent what it needs in the guest. They cannot
 * be merged: of each such key cloud-init takes the user's value in place of the vendor-data's, where
 * piagent's is (seed/documents.h).
 */
#ifndef PIAGENT_SEED_RESERVED_H
#define PIAGENT_SEED_RESERVED_H

#include "agent/seed/findings.h"
#include "agent/seed/yaml_tree.h"

/* Adds an error for each "user" and "ssh_keys", and for a "vendor_data" that switches vendor-data off. */
void seed_reserved_check(const struct seed_node *root, struct seed_findings *findings);

#endif
