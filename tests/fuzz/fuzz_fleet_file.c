/* SPDX-License-Identifier: MIT */
/* Any bytes as the file of a fleet. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/fleet/fleet_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fleet_option options[] = {
        {"memory", FLEET_VALUE_ONE}, {"forward", FLEET_VALUE_LIST}, {"network", FLEET_VALUE_LIST},
        {"label", FLEET_VALUE_MAP},  {"isolate", FLEET_VALUE_FLAG}, {0},
    };
    static struct seed_findings findings;
    pi_auto_fleet struct fleet fleet = {0};
    findings = (struct seed_findings){0};
    if (fleet_read((const char *)data, size, "fleet.yaml", options, &findings, &fleet) < 0 ||
        fleet_check(&fleet, &findings) < 0)
        abort();
    for (size_t i = 0; i < findings.count; i++) {
        char line[640];
        if (strpbrk(seed_finding_format(&findings.items[i], line, sizeof line), "\r\n\x1b"))
            abort(); /* each is one line */
    }
    for (size_t i = 0; !findings.errors && i < fleet.entry_count; i++)
        for (size_t k = 0; k < fleet.entries[i].after_count; k++)
            if (fleet_entry_named(&fleet, fleet.entries[i].after[k].entry)->rank >= fleet.entries[i].rank)
                abort(); /* those before have the lower rank */
    return 0;
}
