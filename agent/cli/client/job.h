/* SPDX-License-Identifier: MIT */
/*
 * An instance as a batch job: run --job. The command has an agent of its own, whose folders are in one that is made
 * for the job and removed at its end; nothing but the image store is shared with other jobs. Agent and QEMU are in
 * the job's cgroup, and end with the command however that ends. The command ends when the guest has powered off.
 */
#ifndef PIAGENT_CLI_JOB_H
#define PIAGENT_CLI_JOB_H

#include <stdint.h>

#include "agent/api/types.h"

/* Slurm sends SIGKILL 30 s after SIGTERM (KillWait in slurm.conf(5)). Guest and QEMU have to have ended by then. */
#define CLI_JOB_GRACE_MS   20000u
#define CLI_JOB_GRACE_HELP "with --job: time for the guest to power off after SIGTERM (default: 20s)"

struct cli_job {
    const json_t *request; /* that makes the instance */
    uint64_t timeout_ms;   /* as cli_wait.timeout_ms, until it is ready */
    uint64_t grace_ms;     /* 0 = CLI_JOB_GRACE_MS */
};

/*
 * The guest's console goes to standard output, everything else to standard error. The exit code: 0 if the guest has
 * powered itself off after a boot that was ready; PI_GUEST if the boot failed, 128 and the signal's number after
 * SIGTERM, SIGINT or SIGHUP, which power the guest down; or negative with err filled.
 */
int cli_job(const struct cli_job *job, struct pi_error *err);

#endif
