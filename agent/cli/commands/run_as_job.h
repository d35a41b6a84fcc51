/* SPDX-License-Identifier: MIT */
/* run --job: the instance gets what the scheduler has allocated, and is run by client/job.h. */
#ifndef PIAGENT_CLI_RUN_AS_JOB_H
#define PIAGENT_CLI_RUN_AS_JOB_H

#include "agent/cli/commands/run_options.h"

/* The exit code, or negative with err filled: as cli_job(). */
int cli_run_as_job(const struct cli_create *options, const char *name, struct pi_error *err);

#endif
