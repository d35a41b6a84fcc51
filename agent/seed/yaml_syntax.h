/* SPDX-License-Identifier: MIT */
/* Explains libyaml's errors to people who do not know how a YAML parser works. */
#ifndef PIAGENT_SEED_YAML_SYNTAX_H
#define PIAGENT_SEED_YAML_SYNTAX_H

#include <stddef.h>
#include <yaml.h>

#include "agent/seed/findings.h"

/* Adds the parser's error as a finding. 0, or -ENOMEM if that was the error. */
int seed_yaml_syntax(const yaml_parser_t *parser, const char *data, size_t size,
                     struct seed_findings *findings);

#endif
