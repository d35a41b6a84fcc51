/* SPDX-License-Identifier: MIT */
#include "agent/api/operations.h"

#include <stdio.h>
#include <string.h>

#define PATH      "/v1/instances/{name}"
#define NETWORKS  "/v1/networks"
#define NAME_HOLE "{name}"

static const struct pi_field no_fields[] = {{0}};

static const struct api_schema document = {.name = "OpenAPI"};
static const struct api_schema empty = {"Empty", no_fields, NULL, {0}};
static const struct api_schema error = {"Error", api_error_fields, NULL, {0}};
static const struct api_schema agent = {"Agent", api_agent_fields, NULL, {0}};
static const struct api_schema create = {"Create", api_create_fields, NULL, {0}};
static const struct api_schema fault = {"Fault", api_fault_fields, NULL, {0}};
static const struct api_schema check = {"Check", no_fields, "faults", {&fault}};
static const struct api_schema instance = {"Instance", api_instance_fields, NULL, {0}};
static const struct api_schema summary = {"Summary", api_summary_fields, NULL, {0}};
static const struct api_schema instances = {"Instances", no_fields, "instances", {&instance, &summary}};
static const struct api_schema agent_stop = {"AgentStop", api_agent_stop_fields, NULL, {0}};
static const struct api_schema start = {"Start", api_start_fields, NULL, {0}};
static const struct api_schema new_snapshot = {"NewSnapshot", api_new_snapshot_fields, NULL, {0}};
static const struct api_schema restore = {"Restore", api_restore_fields, NULL, {0}};
static const struct api_schema old_snapshot = {"OldSnapshot", api_old_snapshot_fields, NULL, {0}};
static const struct api_schema snapshot = {"Snapshot", api_snapshot_fields, NULL, {0}};
static const struct api_schema snapshots = {"Snapshots", no_fields, "snapshots", {&snapshot}};
static const struct api_schema stop = {"Stop", api_stop_fields, NULL, {0}};
static const struct api_schema update = {"Update", api_update_fields, NULL, {0}};
static const struct api_schema event = {"Event", api_event_fields, NULL, {0}};
static const struct api_schema qemu_option = {"QemuOption", api_qemu_option_fields, NULL, {0}};
static const struct api_schema qemu_command = {
    "QemuCommand", api_qemu_command_fields, "options", {&qemu_option}};
static const struct api_schema network_member = {"NetworkMember", api_network_member_fields, NULL, {0}};
static const struct api_schema new_network = {"NewNetwork", api_new_network_fields, NULL, {0}};
static const struct api_schema network_link = {"NetworkLink", api_network_link_fields, NULL, {0}};
static const struct api_schema network = {"Network", api_network_fields, "members", {&network_member}};
static const struct api_schema fleet_elsewhere = {"FleetElsewhere", api_fleet_elsewhere_fields, NULL, {0}};
static const struct api_schema fleet_secret = {"FleetSecret", api_fleet_secret_fields, NULL, {0}};
static const struct api_schema networks = {"Networks", no_fields, "networks", {&network}};

const struct api_schema *const api_schemas[] = {
    &document,     &empty,       &error,           &agent,          &create,      &fault,
    &check,        &instance,    &summary,         &instances,      &agent_stop,  &stop,
    &event,        &qemu_option, &qemu_command,    &network_member, &new_network, &network_link,
    &network,      &networks,    &fleet_elsewhere, &fleet_secret,   &update,      &start,
    &new_snapshot, &restore,     &old_snapshot,    &snapshot,       &snapshots,   NULL,
};

static const struct api_query agent_queries[] = {
    {"summary", 1, "1: memory_promised_mib is 0: to add it up takes longer the more instances run"},
    {0},
};
static const struct api_query list_queries[] = {
    {"summary", 1,
     "1: only the members that a list of instances shows, which is quicker to read for a thousand of them"},
    {0},
};
static const struct api_query event_queries[] = {
    {"since", INT64_MAX, "only the events after the one with this seq; absent: all that are kept"},
    {"follow", 1, "1: goes on with new events, until the instance is removed or the client leaves"},
    {0},
};
static const struct api_query all_events_queries[] = {
    {"follow", 1,
     "1: the events from now on, until the client leaves; else some of the newest that this agent has seen"},
    {0},
};
static const struct api_query console_queries[] = {
    {"last_lines", INT64_MAX, "the last lines only, so many of them; absent: all that are kept"},
    {"tail", INT64_MAX, "the last bytes only, so many of them; absent: all that are kept"},
    {"lines", 1, "1: a tail begins with the first whole line in it"},
    {"follow", 1, "1: goes on with new output, until the instance is removed or the client leaves"},
    {0},
};
static const struct api_query command_queries[] = {
    {"standalone", 1,
     "1: a command that runs by itself in a shell: its console is on the terminal, and it uses no socket of the agent"},
    {0},
};

const struct api_operation api_operations[API_OPERATIONS] = {
    [API_GET_OPENAPI] = {.method = "GET",
                         .path = "/v1/openapi.json",
                         .id = "getOpenAPI",
                         .summary = "This document",
                         .status = 200,
                         .reply = &document},
    [API_GET_AGENT] = {.method = "GET",
                       .path = "/v1/agent",
                       .id = "getAgent",
                       .summary = "The agent: its version, process and folders",
                       .queries = agent_queries,
                       .status = 200,
                       .reply = &agent},
    [API_GET_METRICS] = {.method = "GET",
                         .path = "/v1/metrics",
                         .id = "getMetrics",
                         .summary = "What the agent and the instances do and use, for Prometheus",
                         .status = 200,
                         .reply_type = API_TYPE_METRICS},
    [API_STOP_AGENT] = {.method = "POST",
                        .path = "/v1/agent/stop",
                        .id = "stopAgent",
                        .summary =
                            "Stops the agent; guests run on. Refused while an instance is being created",
                        .request = &agent_stop,
                        .status = 200,
                        .reply = &empty},
    [API_GET_ALL_EVENTS] =
        {.method = "GET",
         .path = "/v1/events",
         .id = "getAllEvents",
         .summary =
             "The events of all instances as JSON lines, without the progress of images. If a client does "
             "not keep up, a note without a name tells it how many it missed",
         .queries = all_events_queries,
         .status = 200,
         .reply = &event,
         .reply_type = API_TYPE_LINES},
    [API_LIST_INSTANCES] = {.method = "GET",
                            .path = "/v1/instances",
                            .id = "listInstances",
                            .summary = "All instances, ordered by name",
                            .queries = list_queries,
                            .status = 200,
                            .reply = &instances},
    [API_CREATE_INSTANCE] = {.method = "POST",
                             .path = "/v1/instances",
                             .id = "createInstance",
                             .summary =
                                 "Makes an instance, anew or as a clone, and starts it: follow its events",
                             .request = &create,
                             .status = 202,
                             .reply = &instance},
    [API_CHECK_INSTANCE] =
        {.method = "POST",
         .path = "/v1/check",
         .id = "checkInstance",
         .summary =
             "What would keep an instance from being made and started, as far as its host knows without the network. "
             "Makes nothing, and does not look whether the name is free",
         .request = &create,
         .status = 200,
         .reply = &check},
    [API_GET_INSTANCE] = {.method = "GET",
                          .path = PATH,
                          .id = "getInstance",
                          .summary = "An instance",
                          .status = 200,
                          .reply = &instance},
    [API_DELETE_INSTANCE] = {.method = "DELETE",
                             .path = PATH,
                             .id = "deleteInstance",
                             .summary = "Removes an instance that does not run, with all its files",
                             .status = 200,
                             .reply = &empty},
    [API_START] =
        {.method = "POST",
         .path = PATH "/start",
         .id = "start",
         .summary =
             "Starts an instance that does not run, or lets a saved one go on; one that runs is left as it is",
         .request = &start,
         .status = 202,
         .reply = &instance},
    [API_POWERDOWN] =
        {.method = "POST",
         .path = PATH "/powerdown",
         .id = "powerdown",
         .summary =
             "Asks the guest to power itself off, and ends QEMU if it does not; an instance that does not run is left as it is",
         .request = &stop,
         .status = 202,
         .reply = &instance},
    [API_KILL] =
        {.method = "POST",
         .path = PATH "/kill",
         .id = "kill",
         .summary =
             "Ends QEMU at once, after it has written its buffers to the disk; an instance that does not run is left as it is",
         .request = &stop,
         .status = 202,
         .reply = &instance},
    [API_RESET] = {.method = "POST",
                   .path = PATH "/reset",
                   .id = "reset",
                   .summary = "Presses the reset button; answered when QEMU has done it",
                   .request = &empty,
                   .status = 200,
                   .reply = &instance},
    [API_PAUSE] =
        {.method = "POST",
         .path = PATH "/pause",
         .id = "pause",
         .summary =
             "Stops the guest's processors; answered when QEMU has done it, or at once if they are stopped",
         .request = &empty,
         .status = 200,
         .reply = &instance},
    [API_RESUME] =
        {.method = "POST",
         .path = PATH "/resume",
         .id = "resume",
         .summary =
             "Lets a paused guest go on, or wakes a suspended one; answered when QEMU has done it, or at once if it runs",
         .request = &empty,
         .status = 200,
         .reply = &instance},
    [API_SUSPEND] =
        {.method = "POST",
         .path = PATH "/suspend",
         .id = "suspend",
         .summary =
             "Saves the guest's memory to disk and ends QEMU; the next start goes on from there. Follow its events",
         .request = &empty,
         .status = 202,
         .reply = &instance},
    [API_LIST_SNAPSHOTS] = {.method = "GET",
                            .path = PATH "/snapshots",
                            .id = "listSnapshots",
                            .summary = "An instance's snapshots",
                            .status = 200,
                            .reply = &snapshots},
    [API_CREATE_SNAPSHOT] =
        {.method = "POST",
         .path = PATH "/snapshots",
         .id = "createSnapshot",
         .summary =
             "Keeps an instance's disk, and of one that runs, or is saved, its memory; answered when it is durable",
         .request = &new_snapshot,
         .status = 200,
         .reply = &instance},
    [API_RESTORE_SNAPSHOT] =
        {.method = "POST",
         .path = PATH "/snapshots/restore",
         .id = "restoreSnapshot",
         .summary =
             "Makes an instance that does not run what it was; with memory, it is saved then, and a start goes on",
         .request = &restore,
         .status = 200,
         .reply = &instance},
    [API_REMOVE_SNAPSHOT] = {.method = "POST",
                             .path = PATH "/snapshots/remove",
                             .id = "removeSnapshot",
                             .summary = "Removes a snapshot; the others stay as they are",
                             .request = &old_snapshot,
                             .status = 200,
                             .reply = &instance},
    [API_RESEED] =
        {.method = "POST",
         .path = PATH "/reseed",
         .id = "reseed",
         .summary = "Serves the guest the seed of its first boot, up to the end of its next successful one",
         .request = &empty,
         .status = 200,
         .reply = &instance},
    [API_UPDATE] = {.method = "POST",
                    .path = PATH "/update",
                    .id = "update",
                    .summary = "Changes the labels of an instance, or what it is after in its fleet",
                    .request = &update,
                    .status = 200,
                    .reply = &instance},
    [API_GET_EVENTS] = {.method = "GET",
                        .path = PATH "/events",
                        .id = "getEvents",
                        .summary = "An instance's events as JSON lines, oldest first",
                        .queries = event_queries,
                        .status = 200,
                        .reply = &event,
                        .reply_type = API_TYPE_LINES},
    [API_GET_CONSOLE] = {.method = "GET",
                         .path = PATH "/console",
                         .id = "getConsole",
                         .summary = "The output of the guest's serial console, byte for byte",
                         .queries = console_queries,
                         .status = 200,
                         .reply_type = API_TYPE_BYTES},
    [API_TYPE] = {.method = "POST",
                  .path = PATH "/console",
                  .id = "type",
                  .summary = "Types the body's bytes into the serial console",
                  .request_type = API_TYPE_BYTES,
                  .status = 200,
                  .reply = &empty},
    [API_GET_QEMU_COMMAND] = {.method = "GET",
                              .path = PATH "/qemu-command",
                              .id = "getQemuCommand",
                              .summary = "The QEMU command that a start would use now",
                              .queries = command_queries,
                              .status = 200,
                              .reply = &qemu_command},
    [API_LIST_NETWORKS] = {.method = "GET",
                           .path = NETWORKS,
                           .id = "listNetworks",
                           .summary =
                               "All networks that instances share, ordered by name, with their members",
                           .status = 200,
                           .reply = &networks},
    [API_CREATE_NETWORK] = {.method = "POST",
                            .path = NETWORKS,
                            .id = "createNetwork",
                            .summary = "Makes a network; its switch runs while a member does",
                            .request = &new_network,
                            .status = 200,
                            .reply = &network},
    [API_GET_NETWORK] = {.method = "GET",
                         .path = NETWORKS "/{name}",
                         .id = "getNetwork",
                         .summary = "A network, with what the switch counted of each member that runs",
                         .status = 200,
                         .reply = &network},
    [API_DELETE_NETWORK] = {.method = "DELETE",
                            .path = NETWORKS "/{name}",
                            .id = "deleteNetwork",
                            .summary = "Removes a network that has no member",
                            .status = 200,
                            .reply = &empty},
    [API_LINK_NETWORK] = {.method = "POST",
                          .path = NETWORKS "/{name}/link",
                          .id = "linkNetwork",
                          .summary = "Links a network with that of the same name and subnet on another host",
                          .request = &network_link,
                          .status = 200,
                          .reply = &network},
    [API_UNLINK_NETWORK] = {.method = "POST",
                            .path = NETWORKS "/{name}/unlink",
                            .id = "unlinkNetwork",
                            .summary = "Ends a link that this host dials",
                            .request = &network_link,
                            .status = 200,
                            .reply = &network},
    [API_TELL_FLEET] =
        {.method = "POST",
         .path = "/v1/fleets/{name}/elsewhere",
         .id = "tellFleet",
         .summary =
             "Tells a fleet of its instances on other hosts; the answer has its join secret, for these hosts",
         .request = &fleet_elsewhere,
         .status = 200,
         .reply = &fleet_secret},
};

bool api_path_match(const char *path_template, const char *path, char *name, size_t size)
{
    const char *hole = strstr(path_template, NAME_HOLE);
    size_t before = hole ? (size_t)(hole - path_template) : strlen(path_template);
    snprintf(name, size, "%s", "");
    if (strncmp(path_template, path, before) != 0)
        return false;
    if (!hole)
        return !path[before];
    size_t length = strcspn(path + before, "/");
    if (!length || strcmp(hole + strlen(NAME_HOLE), path + before + length) != 0)
        return false;
    snprintf(name, size, "%.*s", (int)length, path + before);
    return true;
}
