/* SPDX-License-Identifier: MIT */
#include "agent/cli/commands/fleet_hosts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/cli/terminal/host_hint.h"

static const char *url_of(const struct fleet *fleet, size_t index)
{
    return fleet->hosts[index] ? fleet->hosts[index] : cli_host_chosen();
}

/* The host that the command acts on may be named in the file, too, or one host by two names. */
static int refuse_twins(const struct fleet *fleet, const struct cli_fleet_hosts *hosts, size_t index,
                        struct pi_error *err)
{
    const struct api_agent *mine = &hosts->items[index].told;
    for (size_t i = 0; i < index; i++) {
        const struct api_agent *other = &hosts->items[i].told;
        if (other->pid != mine->pid || other->started_ms != mine->started_ms || !other->state_folder ||
            !mine->state_folder || strcmp(other->state_folder, mine->state_folder) != 0)
            continue;
        const char *a = fleet->hosts[i], *b = fleet->hosts[index];
        return a && b ? pi_refuse(err, PI_USAGE, "%s and %s are one host: write it in one way", a, b)
                      : pi_refuse(err, PI_USAGE,
                                  "%s is also the host of the entries without one: write it for all or none",
                                  a ? a : b);
    }
    return 0;
}

static int connect_host(const char *url, bool only_running, struct cli_agent *ret, struct pi_error *err)
{
    return only_running ? cli_connect_running(ret, err) : cli_connect_to(url, ret, err);
}

int cli_fleet_connect(const struct fleet *fleet, bool only_running, struct cli_fleet_hosts *ret,
                      struct pi_error *err)
{
    int r = 0;
    ret->items = calloc(fleet->host_count + 1, sizeof *ret->items);
    if (!ret->items)
        return pi_fail(err, ENOMEM, "hosts");
    for (size_t i = 0; r == 0 && i < fleet->host_count; i++) {
        struct cli_agent *agent = &ret->items[i].task.agent;
        ret->count++;
        r = connect_host(url_of(fleet, i), only_running, agent, err);
        if (r == 0)
            r = cli_get_agent(agent, &ret->items[i].told, err);
        if (r == 0)
            r = refuse_twins(fleet, ret, i, err);
        if (r == 0 && i > 0)
            api_client_share(agent->client, ret->items[0].task.agent.client);
    }
    return r;
}

void cli_fleet_hosts_done(struct cli_fleet_hosts *hosts)
{
    while (hosts->count > 0) {
        struct cli_fleet_host *host = &hosts->items[--hosts->count];
        api_done(agent, &host->told);
        cli_chosen_done(&host->chosen);
        free(host->networks);
        json_decref(host->networks_reply);
        cli_task_done(&host->task);
    }
    free(hosts->items);
    hosts->items = NULL;
}

int cli_fleet_host_networks(struct cli_fleet_host *host, struct pi_error *err)
{
    json_t *object, *reply = NULL;
    size_t i;
    int r = cli_call_networks(&host->task.agent, "GET", NULL, NULL, &reply, err);
    if (r < 0)
        return r;
    json_decref(host->networks_reply);
    free(host->networks);
    host->networks_reply = reply;
    host->network_count = 0;
    const json_t *list = json_object_get(reply, "networks");
    host->networks = calloc(json_array_size(list) + 1, sizeof *host->networks);
    if (!host->networks)
        return pi_fail(err, ENOMEM, "networks");
    json_array_foreach(list, i, object) {
        struct fleet_lan *network = &host->networks[host->network_count];
        const char *name = json_string_value(json_object_get(object, "name"));
        const char *subnet = json_string_value(json_object_get(object, "subnet"));
        if (!name || !subnet || vm_subnet_parse(subnet, &network->subnet, NULL) < 0)
            continue;
        snprintf(network->name, sizeof network->name, "%s", name);
        network->id = json_string_value(json_object_get(object, "id"));
        network->links = json_object_get(object, "links");
        host->network_count++;
    }
    return 0;
}

int cli_fleet_hosts_look(struct cli_fleet_hosts *hosts, struct pi_error *err)
{
    const struct cli_selection all = {.all = true};
    int r = 0;
    for (size_t i = 0; r == 0 && i < hosts->count; i++) {
        struct cli_fleet_host *host = &hosts->items[i];
        r = cli_choose(&host->task.agent, NULL, &all, CLI_MACHINE, &host->chosen, err);
        if (r == 0)
            r = cli_fleet_host_networks(host, err);
    }
    return r;
}

struct fleet_have *cli_fleet_hosts_have(const struct cli_fleet_hosts *hosts, bool overcommit)
{
    struct fleet_have *all = calloc(hosts->count + 1, sizeof *all);
    for (size_t i = 0; all && i < hosts->count; i++) {
        const struct cli_fleet_host *host = &hosts->items[i];
        all[i] = (struct fleet_have){host->chosen.items, host->chosen.count, host->networks,
                                     host->network_count, overcommit ? 0 : host->told.memory_mib};
    }
    return all;
}
