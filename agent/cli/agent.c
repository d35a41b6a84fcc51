/* "agent" itself, "agent status" and "agent stop". */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/cli/commands.h"
#include "agent/cli/connect.h"
#include "agent/cli/table.h"

#define STOP_MS 10000u

struct status_options {
    bool json;
};

static int print_agent(const json_t *reply, struct pi_error *err)
{
    struct api_agent agent = {0};
    char up[32];
    int r = api_read(agent, reply, &agent, err);
    if (r == 0)
        printf("piagent %s, process %" PRIu64 ", up %s\n"
               "%" PRIu64 " machines, %" PRIu64 " running; seeds at 127.0.0.1:%" PRIu64 "; state in %s\n",
               agent.version ? agent.version : "-", agent.pid,
               pi_duration_format(pi_realtime_ms() - agent.started_ms, up), agent.instances, agent.running,
               agent.imds_port, agent.state_folder ? agent.state_folder : "-");
    api_done(agent, &agent);
    return r < 0 ? pi_context(err, r, "the agent's answer") : 0;
}

static int run_status(const struct cli_call *call, struct pi_error *err)
{
    const struct status_options *options = call->values;
    pi_auto_agent struct cli_agent agent = {0};
    json_auto_t *reply = NULL;
    int r = cli_connect_running(&agent, err);
    if (r == 0)
        r = api_client_call(agent.client, "GET", "/v1/agent", NULL, CLI_CALL_MS, &reply, err);
    if (r < 0)
        return err->kind == PI_AGENT
                   ? pi_refuse(err, PI_AGENT, "no agent runs; a command that needs one starts it")
                   : r;
    return options->json ? cli_json_print(reply, err) : print_agent(reply, err);
}

/* It has stopped when it doesn't answer any more. */
static int await_gone(struct cli_agent *agent, struct pi_error *err)
{
    for (uint64_t end = pi_monotonic_ms() + STOP_MS; pi_monotonic_ms() < end; usleep(20000)) {
        struct pi_error answer = {0};
        api_client_call(agent->client, "GET", "/v1/agent", NULL, STOP_MS, NULL, &answer);
        if (answer.kind == PI_AGENT)
            return 0;
    }
    return pi_refuse(err, PI_TIMEOUT, "the agent still runs after %u s", STOP_MS / 1000);
}

static int run_stop(const struct cli_call *call, struct pi_error *err)
{
    pi_auto_agent struct cli_agent agent = {0};
    (void)call;
    int r = cli_connect_running(&agent, err);
    if (r < 0 && err->kind == PI_AGENT) {
        fprintf(stderr, "no agent runs\n");
        return 0;
    }
    if (r == 0)
        r = api_client_call(agent.client, "POST", "/v1/agent/stop", NULL, CLI_CALL_MS, NULL, err);
    if (r == 0)
        r = await_gone(&agent, err);
    if (r == 0)
        fprintf(stderr, "the agent has stopped; machines that ran go on\n");
    return r;
}

/* main() runs the agent itself; what comes here has an operand or option too many. */
static int run_agent(const struct cli_call *call, struct pi_error *err)
{
    (void)call;
    return pi_refuse(err, PI_USAGE, "see piagent agent --help");
}

static const struct cli_option status_table[] = {
    {.name = "json",
     .type = CLI_FLAG,
     .offset = offsetof(struct status_options, json),
     .help = "as the agent's JSON"},
    {0},
};

const struct cli_command cli_command_agent = {
    .name = "agent",
    .summary = "runs the agent in the foreground",
    .details = "Commands start it by themselves, in the background, where none runs.",
    .example = "piagent agent",
    .run = run_agent,
};
const struct cli_command cli_command_agent_status = {
    .name = "agent status",
    .summary = "tells whether an agent runs",
    .details = "The exit code is 10 where none does.",
    .example = "piagent agent status",
    .options = status_table,
    .values_size = sizeof(struct status_options),
    .run = run_status,
};
const struct cli_command cli_command_agent_stop = {
    .name = "agent stop",
    .summary = "stops the agent; machines run on",
    .example = "piagent agent stop",
    .run = run_stop,
};
