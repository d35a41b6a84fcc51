/* SPDX-License-Identifier: MIT */
/* "agent" itself, "agent start", "agent status", "agent stop" and "agent openapi". */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/api/openapi.h"
#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/fs.h"
#include "agent/base/proc.h"
#include "agent/cli/client/connect.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/terminal/table.h"

#define STOP_MS 5000

/* agent_main() reads it; here for --help, the man page and completions. */
struct agent_options {
    char *metrics;
};

struct start_options {
    bool unless_stopped;
};

struct status_options {
    bool json;
};

struct stop_options {
    bool force;
};

/* By the process, not by the time at which it started: the host's clock can have been set since. */
static const char *up_time(pid_t pid, char buf[32])
{
    struct pi_identity id;
    if (pi_identify(pid, &id, NULL) < 0)
        return "-";
    uint64_t started_ms = id.start_ticks * 1000u / (uint64_t)sysconf(_SC_CLK_TCK);
    return pi_duration_format(pi_clock_ns(CLOCK_BOOTTIME) / 1000000u - started_ms, buf);
}

static int print_agent(const json_t *reply, struct pi_error *err)
{
    struct api_agent agent = {0};
    char up[32];
    int r = api_read(agent, reply, &agent, err);
    if (r == 0)
        printf("piagent %s, process %" PRIu64 ", up %s\n"
               "%" PRIu64 " instance%s, %" PRIu64 " running; seeds at 127.0.0.1:%" PRIu64 "; state in %s\n",
               agent.version ? agent.version : "-", agent.pid, up_time((pid_t)agent.pid, up), agent.instances,
               agent.instances == 1 ? "" : "s", agent.running, agent.imds_port,
               agent.state_folder ? agent.state_folder : "-");
    if (r == 0 && agent.metrics)
        printf("metrics at http://%s/metrics%s%s\n", agent.metrics,
               agent.metrics_failure ? ": not yet: " : "",
               agent.metrics_failure ? agent.metrics_failure : "");
    api_done(agent, &agent);
    return r < 0 ? pi_context(err, r, "the agent's answer") : 0;
}

static int run_agent_start(const struct cli_call *call, struct pi_error *err)
{
    const struct start_options *options = call->values;
    pi_auto_agent struct cli_agent agent = {0};
    pi_auto_paths struct pi_paths paths = {0};
    int r = pi_paths_find(&paths, err);
    if (r == 0 && options->unless_stopped && cli_agent_was_stopped(&paths))
        return pi_refuse(err, PI_AGENT, "the agent was stopped; its instances are as they were");
    if (r == 0)
        r = cli_connect_to(NULL, &agent, err);
    if (r == 0)
        printf("%s/" API_SOCKET_NAME "\n", paths.runtime);
    return r;
}

static int refuse_none(const struct pi_paths *paths, struct pi_error *err)
{
    pid_t pid = cli_agent_process(paths);
    return pid ? cli_refuse_lost(paths, pid, err)
               : pi_refuse(err, PI_AGENT, "no agent runs; a command that needs one starts it");
}

static int run_agent_status(const struct cli_call *call, struct pi_error *err)
{
    const struct status_options *options = call->values;
    pi_auto_agent struct cli_agent agent = {0};
    json_auto_t *reply = NULL;
    int r = cli_connect_running(&agent, err);
    if (r == 0)
        r = api_client_call(agent.client, "GET", "/v1/agent", NULL, CLI_CALL_MS, &reply, err);
    if (r < 0)
        return err->kind == PI_AGENT && r != -ETIMEDOUT ? refuse_none(&agent.paths, err) : r;
    return options->json ? cli_json_print(reply, err) : print_agent(reply, err);
}

/* The agent's process, -1 if it ended meanwhile. Asking its socket instead would start a new one if a service
 * manager listens. */
static int open_agent(struct cli_agent *agent, int *ret_pidfd, struct pi_error *err)
{
    struct api_agent view = {0};
    struct pi_identity id;
    int r = cli_get_agent(agent, &view, err);
    if (r == 0 && pi_identify((pid_t)view.pid, &id, NULL) == 0)
        *ret_pidfd = pi_identity_open(&id);
    api_done(agent, &view);
    return r;
}

static int await_agent_end(int pidfd, struct pi_error *err)
{
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    if (pidfd < 0 || poll(&ended, 1, STOP_MS) != 0)
        return 0;
    return pi_refuse(err, PI_TIMEOUT, "the agent still runs after %d s", STOP_MS / 1000);
}

/* In the place of an agent that cannot say so itself. */
static void note_stopped(const struct pi_paths *paths)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/" API_LOCK_NAME, paths->runtime);
    pi_auto_close int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0)
        (void)pi_write_all(fd, API_LOCK_STOPPED, strlen(API_LOCK_STOPPED));
}

/* Ends an agent that does not answer, or listens at no socket. */
static int end_process(const struct pi_paths *paths, struct pi_error *err)
{
    static const int signals[] = {SIGTERM, SIGKILL};
    struct pi_identity id;
    pid_t pid = cli_agent_process(paths);
    pi_auto_close int pidfd = pid && pi_identify(pid, &id, NULL) == 0 ? pi_identity_open(&id) : -1;
    if (pidfd < 0) {
        fprintf(stderr, "no agent runs\n");
        return 0;
    }
    note_stopped(paths);
    int r = -ETIMEDOUT;
    for (size_t i = 0; r < 0 && i < PI_ARRAY_SIZE(signals); i++) {
        pi_signal(pidfd, signals[i]);
        r = await_agent_end(pidfd, err);
    }
    if (r == 0)
        fprintf(stderr, "the agent (process %d) did not answer and was ended; instances that ran go on\n",
                (int)pid);
    return r;
}

static int run_stop(const struct cli_call *call, struct pi_error *err)
{
    const struct stop_options *options = call->values;
    struct api_agent_stop how = {.force = options->force};
    json_auto_t *body =
        options->force ? api_write(agent_stop, &how) : NULL; /* which older agents do not know */
    pi_auto_agent struct cli_agent agent = {0};
    pi_auto_close int pidfd = -1;
    int r = cli_connect_running(&agent, err);
    if (r < 0 && err->kind == PI_AGENT)
        return end_process(&agent.paths, err);
    if (r == 0)
        r = open_agent(&agent, &pidfd, err);
    if (r == 0)
        r = api_client_call(agent.client, "POST", "/v1/agent/stop", body, CLI_CALL_MS, NULL, err);
    if (r == 0)
        r = await_agent_end(pidfd, err);
    if (r == 0)
        fprintf(stderr, "the agent has stopped; instances that ran go on\n");
    return r;
}

static int run_openapi(const struct cli_call *call, struct pi_error *err)
{
    json_auto_t *document = api_openapi();
    (void)call;
    return document ? cli_json_print(document, err) : pi_fail(err, ENOMEM, "OpenAPI document");
}

/* main() runs the agent itself; this command line has an operand or option too many. */
static int run_agent(const struct cli_call *call, struct pi_error *err)
{
    const char *url = cli_host_chosen();
    (void)call;
    return url ? pi_refuse(err, PI_USAGE,
                           "piagent agent runs the agent of this host: log in with ssh %s first", url)
               : pi_refuse(err, PI_USAGE, "see piagent agent --help");
}

static const struct cli_option agent_table[] = {
    {.name = "metrics",
     CLI_MEMBER(CLI_STRING, agent_options, metrics),
     .kind = CLI_TEXT,
     .argument = "ADDRESS",
     .help = "serve metrics to Prometheus at a port of 127.0.0.1: 127.0.0.1:9464 (default: none)"},
    {0},
};

static const struct cli_option start_table[] = {
    {.name = "unless-stopped",
     CLI_MEMBER(CLI_FLAG, start_options, unless_stopped),
     .help = "not if somebody has stopped it since it last ran"},
    {0},
};

static const struct cli_option status_table[] = {
    {.name = "json", CLI_MEMBER(CLI_FLAG, status_options, json), .help = "as the agent's JSON"},
    {0},
};

static const struct cli_option stop_table[] = {
    {.name = "force",
     .letter = 'f',
     CLI_MEMBER(CLI_FLAG, stop_options, force),
     .help = "even if an instance is being created, which is then undone"},
    {0},
};

const struct cli_command cli_command_agent = {
    .name = "agent",
    .summary = "runs the agent in the foreground",
    .details =
        "Commands start it by themselves, in the background, if none runs.\n"
        "piagent help service tells about the metrics; PIAGENT_METRICS has the same effect as --metrics.",
    .example = "piagent agent",
    .options = agent_table,
    .values_size = sizeof(struct agent_options),
    .site = CLI_HERE,
    .run = run_agent,
};
const struct cli_command cli_command_agent_start = {
    .name = "agent start",
    .summary = "starts the agent in the background, if none runs, and prints its socket",
    .details =
        "Every command that needs an agent does so. This one is for other programs, and for piagent --host, which\n"
        "runs it there.",
    .example = "piagent agent start",
    .options = start_table,
    .values_size = sizeof(struct start_options),
    .site = CLI_THERE,
    .run = run_agent_start,
};
const struct cli_command cli_command_agent_status = {
    .name = "agent status",
    .summary = "tells whether an agent runs",
    .details = "The exit code is 10 if none does.",
    .example = "piagent agent status",
    .options = status_table,
    .values_size = sizeof(struct status_options),
    .site = CLI_THERE,
    .run = run_agent_status,
};
const struct cli_command cli_command_agent_stop = {
    .name = "agent stop",
    .summary = "stops the agent; instances run on",
    .details =
        "Commands that follow an instance end, with exit code 10; the next command starts the agent again. While an\n"
        "instance is being created, only --force stops the agent.",
    .example = "piagent agent stop",
    .options = stop_table,
    .values_size = sizeof(struct stop_options),
    .site = CLI_THERE,
    .run = run_stop,
};
const struct cli_command cli_command_agent_openapi = {
    .name = "agent openapi",
    .summary = "prints the control API as an OpenAPI document",
    .details = "The agent itself serves it at /v1/openapi.json.",
    .example = "piagent agent openapi",
    .site = CLI_HERE,
    .run = run_openapi,
};
