/* SPDX-License-Identifier: MIT */
/* Checks the networks that instances share, and whether bridges of the host can be used. */
#include <string.h>

#include "agent/base/auto.h"
#include "agent/doctor/check.h"
#include "agent/net/bridged.h"
#include "agent/net/host_subnets.h"
#include "agent/vm/life.h"

static const char *network_text(const json_t *network, const char *key)
{
    const char *text = json_string_value(json_object_get(network, key));
    return text ? text : "";
}

static bool has_live_member(const json_t *network)
{
    const json_t *member;
    size_t i;
    json_array_foreach(json_object_get(network, "members"), i, member)
        for (int state = 0; vm_state_names[state]; state++)
            if (!strcmp(network_text(member, "state"), vm_state_names[state]) &&
                vm_state_is_live((enum vm_state)state))
                return true;
    return false;
}

/* Its members send what is for that subnet to each other. */
static bool clashes(const json_t *network, const struct vm_subnet *used, size_t count,
                    struct doctor_finding *ret)
{
    struct vm_subnet subnet;
    if (vm_subnet_parse(network_text(network, "subnet"), &subnet, NULL) < 0)
        return false;
    for (size_t i = 0; i < count; i++)
        if (vm_subnets_overlap(&subnet, &used[i])) {
            char theirs[VM_SUBNET_TEXT_SIZE];
            vm_subnet_format(&used[i], theirs);
            doctor_say(ret, DOCTOR_WARN, "%s is %s, and this host uses %s: its members cannot reach that one",
                       network_text(network, "name"), network_text(network, "subnet"), theirs);
            doctor_mend(
                ret, "make another network, which piagent chooses a subnet for: piagent network create NAME");
            return true;
        }
    return false;
}

static bool has_trouble(const json_t *network, const struct vm_subnet *used, size_t count,
                        struct doctor_finding *ret)
{
    const char *name = network_text(network, "name");
    if (*network_text(network, "reason")) {
        doctor_say(ret, DOCTOR_WARN, "%s: %s", name, network_text(network, "reason"));
        return true;
    }
    if (has_live_member(network) && !json_object_get(network, "switch_pid")) {
        doctor_say(ret, DOCTOR_WARN, "%s has members that run, but its switch does not: they hear nobody",
                   name);
        doctor_mend(ret, "the agent starts it again; if not, its log says why: piagent network status %s",
                    name);
        return true;
    }
    return clashes(network, used, count, ret);
}

void doctor_judge_networks(const json_t *networks, const struct vm_subnet *used, size_t count,
                           struct doctor_finding *ret)
{
    size_t all = json_array_size(networks), switches = 0, i;
    const json_t *network;
    json_array_foreach(networks, i, network) {
        if (has_trouble(network, used, count, ret))
            return;
        switches += json_object_get(network, "switch_pid") != NULL;
    }
    if (all)
        doctor_say(ret, DOCTOR_OK,
                   "%zu network%s, with members that run in %zu; none overlaps a subnet of this host", all,
                   all == 1 ? "" : "s", switches);
}

void doctor_check_networks(const struct doctor_host *host, int arg, struct doctor_finding *ret)
{
    pi_auto_free struct vm_subnet *used = NULL;
    size_t count = 0;
    (void)arg;
    (void)host_subnets_find(0, &used, &count, NULL);
    doctor_judge_networks(host->networks, used, count, ret);
}

void doctor_check_bridges(const struct doctor_host *host, int arg, struct doctor_finding *ret)
{
    struct pi_error err;
    (void)host;
    (void)arg;
    if (bridged_check_helper(&err) == 0)
        doctor_say(ret, DOCTOR_OK,
                   "qemu-bridge-helper can plug instances into bridges (--network bridge=BR)");
    else
        doctor_say(ret, DOCTOR_OK, "piagent can do without them; --network bridge=BR cannot be used: %s",
                   err.text);
}
