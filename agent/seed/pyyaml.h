/* SPDX-License-Identifier: MIT */
/* Finds valid YAML that PyYAML's SafeLoader rejects: cloud-init then drops the whole file. */
#ifndef PIAGENT_SEED_PYYAML_H
#define PIAGENT_SEED_PYYAML_H

#include "agent/seed/findings.h"
#include "agent/seed/yaml_tree.h"

/* Adds an error for each tag that the loader does not know or that does not fit its value, each date that
 * does not exist, each plain '=', each merge ("<<") of something that is not a mapping, and each key that is
 * a list or mapping. Adds a warning for each number that the loader reads in base 60. */
void seed_pyyaml_check(const struct seed_node *root, struct seed_findings *findings);

#endif
