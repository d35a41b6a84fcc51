/* SPDX-License-Identifier: MIT */
#include "agent/instance/rest.h"

#include "agent/instance/instance.h"

#define LOOKS_MAX 60

bool rest_look(const struct instance *instance, double share, struct rest *rest)
{
    struct pi_usage usage;
    if (!process_usage(instance, &usage))
        return false;
    double used_s = usage.cpu_s - rest->cpu_s;
    bool first = !rest->looks++;
    rest->cpu_s = usage.cpu_s;
    return !first && (used_s < share * REST_LOOK_MS / 1000 || rest->looks > LOOKS_MAX);
}
