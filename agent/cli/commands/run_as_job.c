/* SPDX-License-Identifier: MIT */
#include "agent/cli/commands/run_as_job.h"

#include <inttypes.h>
#include <stdio.h>

#include "agent/cli/client/allocation.h"
#include "agent/cli/client/job.h"
#include "agent/cli/terminal/host_hint.h"
#include "agent/vm/subnet.h"

static int refuse_beside_job(const struct cli_create *options, struct pi_error *err)
{
    const char *other = cli_host_chosen()                 ? "--host (or PIAGENT_HOST)"
                        : options->detach                 ? "-d"
                        : options->no_start               ? "--no-start"
                        : options->count                  ? "--count"
                        : options->json                   ? "--json"
                        : options->spec.memory_max_mib    ? "--memory-max"
                        : options->spec.cpu_quota_percent ? "--cpu-quota"
                                                          : NULL;
    return other ? pi_refuse(err, PI_USAGE,
                             "%s does not go with --job, which stays until the guest has powered off, "
                             "within the limits of the job",
                             other)
                 : 0;
}

/* The job's agent is new. */
static int refuse_networks(const struct pi_strv *networks, struct pi_error *err)
{
    struct vm_network_use use;
    for (size_t i = 0; i < networks->count; i++)
        if (vm_network_use_parse(networks->items[i], &use, NULL) == 0 && !use.bridge)
            return pi_refuse(
                err, PI_USAGE,
                "--network %s: a job has an agent of its own, which has no networks: leave it out",
                networks->items[i]);
    return 0;
}

static void tell_allocation(const char *name, const struct vm_spec *given, const struct vm_spec *spec)
{
    if (spec->cpus != given->cpus)
        fprintf(stderr, "%s: %" PRIu64 " virtual CPUs, as the job has processors (--cpus)\n", name,
                spec->cpus);
    if (spec->memory_mib != given->memory_mib)
        fprintf(stderr, "%s: %" PRIu64 " MiB of memory: the job's, without what QEMU needs (--memory)\n",
                name, spec->memory_mib);
}

int cli_run_as_job(const struct cli_create *options, const char *name, struct pi_error *err)
{
    struct cli_create given = *options;
    struct cli_allocation allocation;
    json_auto_t *body = NULL;
    int r = refuse_beside_job(options, err);
    if (r == 0)
        r = refuse_networks(&options->spec.networks, err);
    cli_allocation_read(&allocation);
    if (r == 0)
        r = cli_allocation_apply(&allocation, &given.spec, err);
    if (r == 0)
        r = cli_create_request(&given, name, &body, err);
    if (r < 0)
        return r;
    tell_allocation(name, &options->spec, &given.spec);
    const struct cli_job job = {
        .request = body, .timeout_ms = options->timeout_ms, .grace_ms = options->grace_ms};
    return cli_job(&job, err);
}
