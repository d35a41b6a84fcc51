/* SPDX-License-Identifier: MIT */
#include "agent/cli/client/allocation.h"

#include <inttypes.h>
#include <stdlib.h>

#include "agent/base/text.h"
#include "agent/vm/host_memory.h"

#define AGENT_MIB 64 /* the agent, its worker, and the command */

static uint64_t read_number(const char *variable)
{
    uint64_t value = 0;
    const char *text = getenv(variable);
    return text && pi_number_parse(text, 0, INT32_MAX, &value, NULL) == 0 ? value : 0;
}

/* The most tasks of one node in a text such as "2(x3),1". Slurm does not tell a task which of the nodes is its own. */
static uint64_t most_tasks(const char *text)
{
    unsigned long most = 0;
    while (text && *text) {
        char *end;
        unsigned long tasks = strtoul(text, &end, 10);
        most = tasks > most ? tasks : most;
        while (*end && *end != ',')
            end++;
        text = *end ? end + 1 : end;
    }
    return most;
}

/* The batch script is one process, and has all of its node. */
static uint64_t tasks_of_node(void)
{
    const char *step = getenv("SLURM_STEP_TASKS_PER_NODE");
    uint64_t tasks = !getenv("SLURM_STEP_ID") || !getenv("SLURM_PROCID") ? 1 : most_tasks(step);
    return tasks ? tasks : 1;
}

void cli_allocation_read(struct cli_allocation *ret)
{
    struct cli_allocation found = {0};
    uint64_t tasks = tasks_of_node(), per_node = read_number("SLURM_MEM_PER_NODE");
    if (getenv("SLURM_JOB_ID")) {
        found.cpus = read_number("SLURM_CPUS_PER_TASK");
        if (!found.cpus)
            found.cpus = read_number("SLURM_CPUS_ON_NODE") / tasks;
        found.memory_mib = per_node ? per_node / tasks : read_number("SLURM_MEM_PER_CPU") * found.cpus;
    }
    *ret = found;
}

int cli_allocation_apply(const struct cli_allocation *allocation, struct vm_spec *spec, struct pi_error *err)
{
    const struct vm_spec least = {.arch = spec->arch, .accel = spec->accel, .memory_mib = VM_MEMORY_MIB_MIN};
    uint64_t beside = vm_host_memory_mib(&least) - VM_MEMORY_MIB_MIN + AGENT_MIB;
    if (!spec->cpus)
        spec->cpus = allocation->cpus < VM_CPUS_MAX ? allocation->cpus : VM_CPUS_MAX;
    if (spec->memory_mib || !allocation->memory_mib)
        return 0;
    if (allocation->memory_mib < beside + VM_MEMORY_MIB_MIN)
        return pi_refuse(err, PI_USAGE,
                         "the job has %" PRIu64 " MiB of memory, and QEMU needs %" PRIu64
                         " MiB beside the guest's: ask Slurm for at least --mem=%" PRIu64
                         "M, or say --memory",
                         allocation->memory_mib, beside, beside + VM_MEMORY_MIB_MIN);
    spec->memory_mib = allocation->memory_mib - beside;
    if (spec->memory_mib > VM_MEMORY_MIB_MAX)
        spec->memory_mib = VM_MEMORY_MIB_MAX;
    return 0;
}
