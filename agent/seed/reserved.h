/* SPDX-License-Identifier: MIT */
/* The keys of a cloud-config's top level that would take from piagent what it needs in the guest. */
#ifndef PIAGENT_SEED_RESERVED_H
#define PIAGENT_SEED_RESERVED_H

#include "agent/seed/findings.h"
#include "agent/seed/yaml_tree.h"

/* Adds an error for each. */
void seed_reserved_check(const struct seed_node *root, struct seed_findings *findings);

#endif
