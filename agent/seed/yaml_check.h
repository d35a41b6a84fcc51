/* SPDX-License-Identifier: MIT */
/* A cloud-config's text: is it YAML, one mapping of unique keys, within the bounds, of the shape that
 * cloud-init takes (seed/schema.h)? */
#ifndef PIAGENT_SEED_YAML_CHECK_H
#define PIAGENT_SEED_YAML_CHECK_H

#include <stddef.h>

#include "agent/seed/findings.h"

/* Adds what is found, up to the first place that is no YAML. 0, or -ENOMEM. */
int seed_yaml_check(const char *data, size_t size, struct seed_findings *findings);

#endif
