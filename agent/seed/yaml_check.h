/* SPDX-License-Identifier: MIT */
/* Checks a cloud-config's text: it must be YAML, one mapping with unique keys, within the bounds, and of a
 * shape that cloud-init accepts (seed/schema.h). */
#ifndef PIAGENT_SEED_YAML_CHECK_H
#define PIAGENT_SEED_YAML_CHECK_H

#include <stddef.h>

#include "agent/seed/findings.h"

/* Adds the findings, up to the first place that is not YAML. 0, or -ENOMEM. */
int seed_yaml_check(const char *data, size_t size, struct seed_findings *findings);

#endif
