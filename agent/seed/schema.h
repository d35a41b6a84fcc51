/* SPDX-License-Identifier: MIT */
/*
 * Checks a cloud-config against cloud-init's own schema. schema.py makes schema.json from the JSON schemas
 * (draft 4) of the newest and the oldest supported cloud-init, so that the check knows the keys of both.
 */
#ifndef PIAGENT_SEED_SCHEMA_H
#define PIAGENT_SEED_SCHEMA_H

#include "agent/seed/findings.h"
#include "agent/seed/yaml_tree.h"

/*
 * Adds a finding, with a remedy, for each value that the schema does not allow. A list or mapping in the
 * wrong place, or a scalar in place of one, is an error, because the guest's module would fail. Everything
 * else is a warning, as in cloud-init itself. Does not miss keys in a collection that is not whole. Follows
 * aliases, within a bound of steps. 0, or -ENOMEM.
 */
int seed_schema_check(const struct seed_node *root, struct seed_findings *findings);

#endif
