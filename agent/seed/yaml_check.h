/* SPDX-License-Identifier: MIT */
/* Checks a cloud-config's text: it must be YAML, one mapping with unique keys, within the bounds, and of a
 * shape that cloud-init accepts (seed/schema.h). */
#ifndef PIAGENT_SEED_YAML_CHECK_H
#define PIAGENT_SEED_YAML_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/seed/findings.h"
#include "agent/seed/yaml_tree.h"

/* Adds the findings, up to the first place that is not YAML. 0, or -ENOMEM. */
int seed_yaml_check(const char *data, size_t size, struct seed_findings *findings);

/* Reads any YAML into the tree, up to its end, to a bound, or to the first place that is not YAML. pyyaml: adds an error for
 * what libyaml accepts and PyYAML does not. 0, or -ENOMEM. */
int seed_yaml_read(const char *data, size_t size, bool pyyaml, struct seed_tree *tree);

/* Adds an error for each key that a mapping below the node, or the node itself, has twice. 0, or -ENOMEM. */
int seed_yaml_keys_check(const struct seed_node *node, struct seed_findings *findings);

#endif
