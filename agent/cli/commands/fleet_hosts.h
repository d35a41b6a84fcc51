/* SPDX-License-Identifier: MIT */
/* The agents of all hosts that a fleet's file names: up and down ask all of them before they change anything. */
#ifndef PIAGENT_CLI_FLEET_HOSTS_H
#define PIAGENT_CLI_FLEET_HOSTS_H

#include "agent/cli/client/task.h"
#include "agent/fleet/plan.h"

/* Of one host. */
struct cli_fleet_host {
    struct cli_task task;     /* of its agent, which is connected */
    struct api_agent told;    /* processors, memory and KVM of the host; 0: an older agent does not tell */
    struct cli_chosen chosen; /* its instances */
    struct fleet_lan *networks;
    size_t network_count;
    json_t *networks_reply; /* which they borrow of */
};

/* In the order of fleet.hosts. Zeroed memory is a valid, empty one. */
struct cli_fleet_hosts {
    struct cli_fleet_host *items;
    size_t count;
};

/*
 * Connects to the agent of each host; an agent that does not run is started, unless only_running. Their clients share one wait.
 * Fails with the first host that cannot be reached, which the message names; PI_USAGE if two URLs lead to one agent.
 */
int cli_fleet_connect(const struct fleet *fleet, bool only_running, struct cli_fleet_hosts *ret,
                      struct pi_error *err);
void cli_fleet_hosts_done(struct cli_fleet_hosts *hosts);
#define pi_auto_fleet_hosts __attribute__((cleanup(cli_fleet_hosts_done)))

/* Gets all instances of each host, with all that is compared, by one request, and the networks. */
int cli_fleet_hosts_look(struct cli_fleet_hosts *hosts, struct pi_error *err);

/* The networks as they are now: what was got before of them is freed. */
int cli_fleet_host_networks(struct cli_fleet_host *host, struct pi_error *err);

/* The same as fleet_plan_make() takes it: the caller's to free. NULL without memory. overcommit: memory is not checked. */
struct fleet_have *cli_fleet_hosts_have(const struct cli_fleet_hosts *hosts, bool overcommit);

#endif
