/* SPDX-License-Identifier: MIT */
/* "doctor" tells what this host can do, and how to mend the rest. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/cli/client/connect.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/terminal/colour.h"
#include "agent/cli/terminal/table.h"
#include "agent/doctor/examine.h"

#define AGENT_MS 2000u

struct doctor_options {
    bool json, offline;
};

/* Asks the agent only if its lock says that it runs: systemd may hold the socket, and would start one. */
static void ask_agent(const struct pi_paths *paths, struct doctor_agent *ret, json_t **ret_networks)
{
    char path[PATH_MAX];
    struct api_client *client = NULL;
    struct api_agent agent = {0};
    json_auto_t *reply = NULL;
    ret->pid = cli_agent_process(paths);
    snprintf(path, sizeof path, "%s/" API_SOCKET_NAME, paths->runtime);
    if (!ret->pid || api_client_new(path, &client, NULL) < 0)
        return;
    if (api_client_call(client, "GET", "/v1/agent", NULL, AGENT_MS, &reply, NULL) == 0 &&
        api_read(agent, reply, &agent, NULL) == 0) {
        ret->answers = true;
        ret->instances = agent.instances;
        ret->running = agent.running;
        snprintf(ret->metrics_failure, sizeof ret->metrics_failure, "%s",
                 agent.metrics_failure ? agent.metrics_failure : "");
        ret->promised_mib = agent.memory_promised_mib;
        snprintf(ret->version, sizeof ret->version, "%s", agent.version ? agent.version : "-");
    }
    if (ret->answers)
        (void)api_client_call(client, "GET", "/v1/networks", NULL, AGENT_MS, ret_networks, NULL);
    api_done(agent, &agent);
    api_client_free(client);
}

static void print_finding(const struct doctor_finding *finding, const char *group)
{
    static const enum cli_colour colours[DOCTOR_VERDICTS] = {
        [DOCTOR_OK] = CLI_GREEN, [DOCTOR_WARN] = CLI_YELLOW, [DOCTOR_FAIL] = CLI_BOLD_RED};
    const int out = STDOUT_FILENO;
    if (!group || strcmp(group, finding->group) != 0)
        printf("%s%s%s%s\n", group ? "\n" : "", cli_colour(out, CLI_BOLD), finding->group,
               cli_colour(out, CLI_PLAIN));
    printf("  %s%-4s%s %-19s %s\n", cli_colour(out, colours[finding->verdict]),
           doctor_verdict_names[finding->verdict], cli_colour(out, CLI_PLAIN), finding->what, finding->text);
    if (finding->remedy[0])
        printf("       %s> %s%s\n", cli_colour(out, CLI_DIM), finding->remedy, cli_colour(out, CLI_PLAIN));
}

static void print_report(const struct doctor_report *report)
{
    for (size_t i = 0; i < report->count; i++)
        print_finding(&report->findings[i], i ? report->findings[i - 1].group : NULL);
    printf("\n%u ok, %u to look at, %u failed: %s\n", report->counts[DOCTOR_OK], report->counts[DOCTOR_WARN],
           report->counts[DOCTOR_FAIL], report->summary);
}

static int run_doctor(const struct cli_call *call, struct pi_error *err)
{
    const struct doctor_options *options = call->values;
    pi_auto_paths struct pi_paths paths = {0};
    doctor_auto_report struct doctor_report report = {0};
    struct pi_error no_paths;
    json_auto_t *networks = NULL;
    struct doctor_host host = {.root = "", .now_ms = pi_realtime_ms(), .offline = options->offline};
    if (pi_paths_find(&paths, &no_paths) == 0) {
        host.paths = &paths;
        ask_agent(&paths, &host.agent, &networks);
        host.networks = json_object_get(networks, "networks");
    } else {
        host.paths_error = no_paths.text;
    }
    int r = doctor_examine(&host, &report, err);
    if (r < 0)
        return r;
    if (options->json) {
        json_auto_t *json = doctor_json(&report);
        if ((r = cli_json_print(json, err)) < 0)
            return r;
    } else {
        print_report(&report);
    }
    return report.counts[DOCTOR_FAIL] ? PI_HOST : PI_OK;
}

static const struct cli_option doctor_table[] = {
    {.name = "json",
     CLI_MEMBER(CLI_FLAG, doctor_options, json),
     .help = "one object: checks, each with id, verdict, text and remedy, and a summary"},
    {.name = "offline",
     CLI_MEMBER(CLI_FLAG, doctor_options, offline),
     .help = "does not ask whether Fedora can be reached"},
    {0},
};

const struct cli_command cli_command_doctor = {
    .name = "doctor",
    .summary = "tells what this host can do, and how to mend the rest",
    .details =
        "QEMU, KVM, firmware, programs, disk, memory, folders, networks, keys. It changes nothing and\n"
        "starts no agent. The exit code is 6 if something is missing that instances need.",
    .example = "piagent doctor",
    .options = doctor_table,
    .values_size = sizeof(struct doctor_options),
    .site = CLI_THERE,
    .run = run_doctor,
};
