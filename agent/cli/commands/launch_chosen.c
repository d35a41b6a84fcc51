/* SPDX-License-Identifier: MIT */
#include "agent/cli/commands/launch_chosen.h"

#include <errno.h>
#include <stdlib.h>

#include "agent/base/auto.h"
#include "agent/cli/terminal/host_hint.h"

/* The list does not tell which accelerator the user chose: that of the last run is the best guess. */
static struct cli_launch_item item_of(const struct api_instance *instance, struct cli_launch_host *host)
{
    return (struct cli_launch_item){.name = instance->name,
                                    .place = &instance->spec.fleet,
                                    .host = host,
                                    .start = true,
                                    .memory_mib = api_instance_memory_mib(instance),
                                    .arch = PI_WORD(instance, arch, vm_arch),
                                    .emulated = instance->accel == VM_ACCEL_TCG,
                                    .resumes = instance->state == VM_SAVED};
}

static void tell_not_started(const struct cli_launch_pass *pass)
{
    unsigned count = 0;
    for (size_t i = 0; i < pass->count; i++)
        count += pass->items[i].state == CLI_LAUNCH_WAITS;
    if (count && !pass->wait.json)
        cli_note("interrupted: %u instance%s not started", count, count == 1 ? " was" : "s were");
}

int cli_launch_chosen(struct cli_agent *agent, const struct cli_chosen *chosen, const struct cli_wait *how,
                      const struct cli_pace *pace, bool cold, const char *command, struct pi_error *err)
{
    pi_auto_free struct cli_launch_item *items = calloc(chosen->count + 1, sizeof *items);
    struct cli_launch_host host = {.agent = agent, .text = agent->host.url ? agent->host.url : "this host"};
    struct cli_launch_pass pass = {
        .items = items, .pace = *pace, .cold = cold, .wait = *how, .command = command};
    if (!items)
        return pi_fail(err, ENOMEM, "start");
    for (size_t i = 0; i < chosen->count; i++)
        if (chosen->items[i].name)
            items[pass.count++] = item_of(&chosen->items[i], &host);
    pass.pace.overcommit = pace->overcommit || pass.count == 1;
    cli_follow_hold_signals();
    int r = cli_launch_pass(&pass, err);
    if (r > CLI_EXIT_SIGNAL)
        tell_not_started(&pass);
    cli_launch_host_done(&host);
    return r;
}
