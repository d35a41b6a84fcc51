/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/proc.h"
#include "agent/vm/argv.h"
#include "agent/vm/subnet.h"

#define HELP_MS 60000

static bool needs_switch(const struct vm_spec *spec)
{
    struct vm_network_use use;
    for (size_t i = 0; i < spec->networks.count; i++)
        if (vm_network_use_parse(spec->networks.items[i], &use, NULL) == 0 && !use.bridge)
            return true;
    return false;
}

int vm_networks_prepare(const struct vm_spec *spec, struct pi_error *err)
{
    const char *qemu = vm_qemu_program(spec->arch);
    pi_auto_buf struct pi_buf types = {0};
    if (!needs_switch(spec))
        return 0;
    int r = pi_run_within((const char *const[]){qemu, "-machine", "none", "-netdev", "help", NULL}, HELP_MS,
                          &types, NULL, err);
    if (r < 0)
        return pi_context(err, r, "cannot tell whether QEMU can join a network");
    if (types.data && strstr(types.data, "dgram"))
        return 0;
    return pi_refuse(
        err, PI_HOST,
        "--network needs QEMU 7.2 or newer (-netdev dgram), which %s is not: install a newer one, or "
        "leave out --network",
        qemu);
}
