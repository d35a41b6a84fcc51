/* SPDX-License-Identifier: MIT */
/* Shows a finding about a file as a compiler does: for "validate", "up" and "down". */
#ifndef PIAGENT_CLI_FINDING_SHOW_H
#define PIAGENT_CLI_FINDING_SHOW_H

#include <jansson.h>
#include <stdio.h>

#include "agent/base/buf.h"
#include "agent/seed/findings.h"

/* "FILE:LINE:COLUMN: error: PATH: MESSAGE", then the line of the text, and the remedy. file is cleaned. */
void cli_finding_show(FILE *out, const char *file, const struct pi_buf *text,
                      const struct seed_finding *finding);

/* The same as JSON, without the file. A new reference, or NULL without memory. */
json_t *cli_finding_json(const struct seed_finding *finding);

/* The file's name as it is, if JSON can hold it: a name need not be UTF-8. */
json_t *cli_file_name_json(const char *file);

#endif
