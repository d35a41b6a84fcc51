/* SPDX-License-Identifier: MIT */
/* Messages name commands to go on with ("piagent ssh pi-1"). If a command acts on another host, so must these. */
#ifndef PIAGENT_CLI_HOST_HINT_H
#define PIAGENT_CLI_HOST_HINT_H

#include "agent/base/buf.h"
#include "agent/base/error.h"

#define CLI_HOST_VARIABLE "PIAGENT_HOST"

/* The host that --host or PIAGENT_HOST names, or NULL for this host. --host sets the variable. */
const char *cli_host_chosen(void);

/* The text with "--host URL" in each of its commands that can act on another host. *buf holds it, unless it is the text
 * itself: without another host or memory. */
const char *cli_host_hint(const char *text, const char *url, struct pi_buf *buf);

/* The same for the text of an error; it is left as it is if it would be too long. */
void cli_host_hint_error(struct pi_error *err, const char *url);

/* Writes a line to standard error with these hints. */
void cli_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The commands that it knows; ends with NULL. */
extern const char *const cli_host_hints[];

#endif
