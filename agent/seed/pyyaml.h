/* SPDX-License-Identifier: MIT */
/* What is YAML, and what PyYAML's SafeLoader makes no value of: there cloud-init drops the whole file. */
#ifndef PIAGENT_SEED_PYYAML_H
#define PIAGENT_SEED_PYYAML_H

#include "agent/seed/findings.h"
#include "agent/seed/yaml_tree.h"

/* Adds an error for each tag that the loader does not know or that the value is not for, each date that does
 * not exist, each '=', merge ("<<") of what is no mapping and key that is a list or mapping; and a warning
 * for each number that it reads in base 60. */
void seed_pyyaml_check(const struct seed_node *root, struct seed_findings *findings);

#endif
