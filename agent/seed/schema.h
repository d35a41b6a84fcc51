/* SPDX-License-Identifier: MIT */
/*
 * A cloud-config against cloud-init's own schema: schema.json, which schema.py makes of the JSON schemas
 * (draft 4) of the newest and the oldest cloud-init that are supported, so that a key of any of them is
 * known.
 */
#ifndef PIAGENT_SEED_SCHEMA_H
#define PIAGENT_SEED_SCHEMA_H

#include "agent/seed/findings.h"
#include "agent/seed/yaml_tree.h"

/*
 * Adds what the schema does not take at the place where it is, with what to write there. A list or mapping in
 * the wrong place, or a scalar in place of one, is an error, as the guest's module would fail at it;
 * everything else, which cloud-init itself only warns of, a warning. A collection that is not whole lacks
 * nothing. An alias is looked at as what it stands for, within a bound of steps. 0, or -ENOMEM.
 */
int seed_schema_check(const struct seed_node *root, struct seed_findings *findings);

#endif
