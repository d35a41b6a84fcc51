/* SPDX-License-Identifier: MIT */
/* The processors and memory that Slurm has allocated to this task. Slurm sets variables for a job: sbatch(1) and srun(1),
 * "OUTPUT ENVIRONMENT VARIABLES". */
#ifndef PIAGENT_CLI_ALLOCATION_H
#define PIAGENT_CLI_ALLOCATION_H

#include <stdint.h>

#include "agent/vm/spec.h"

struct cli_allocation {
    uint64_t cpus, memory_mib; /* 0 = Slurm does not say */
};

/* All zero outside of a job. Several tasks of one node share its memory and processors evenly. */
void cli_allocation_read(struct cli_allocation *ret);

/* Sets the processors and the memory of an instance that are unset, so that its QEMU and its agent fit into the
 * allocation. PI_USAGE if it is too small. */
int cli_allocation_apply(const struct cli_allocation *allocation, struct vm_spec *spec, struct pi_error *err);

#endif
