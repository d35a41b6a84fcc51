/* SPDX-License-Identifier: MIT */
#include "agent/cli/client/job.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/api/client.h"
#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/fs.h"
#include "agent/base/proc.h"
#include "agent/cli/client/job_folder.h"
#include "agent/cli/client/task.h"
#include "agent/cli/client/wait.h"

#define STEP_MS    3000u /* of a stop: QEMU's quit, then SIGTERM */
#define END_MS     5000  /* for the agent to end */
#define CONSOLE_MS 2000u /* for the rest of the console to come */

struct job_run {
    const struct cli_job *job;
    struct cli_agent agent;
    struct cli_job_folder folder;
    struct api_instance instance;
    struct api_transfer *console; /* NULL: it has ended */
};

static int on_job_console(const char *bytes, size_t size, void *user)
{
    (void)user;
    return pi_write_all(STDOUT_FILENO, bytes, size);
}

static void on_job_console_end(int result, const struct pi_error *err, void *user)
{
    struct job_run *run = user;
    (void)result;
    (void)err;
    run->console = NULL;
}

static int create_job_instance(struct job_run *run, struct pi_error *err)
{
    char path[PI_NAME_MAX + 64];
    const struct api_sink sink = {.data = on_job_console, .done = on_job_console_end, .user = run};
    int r = cli_create_instance(&run->agent, run->job->request, &run->instance, err);
    if (r < 0)
        return r;
    fprintf(stderr, "%s: commands in the job reach it with XDG_RUNTIME_DIR=%s/run XDG_DATA_HOME=%s\n",
            run->instance.name, run->folder.path, run->folder.path);
    snprintf(path, sizeof path, "/v1/instances/%s/console?follow=1", run->instance.name);
    return api_client_start(run->agent.client, "GET", path, NULL, 0, &sink, &run->console, err);
}

/* The instance as it is now; -ENOENT if it was undone, or failed to be made. */
static int look_at_job(struct job_run *run, struct pi_error *err)
{
    struct api_instance now = {0};
    int r = cli_get_same_instance(&run->agent, run->instance.name, run->instance.spec.uuid, &now, err);
    if (r == 0) {
        api_done(instance, &run->instance);
        run->instance = now;
    }
    return r;
}

/* calm: its guest runs as long as it likes. */
static int await_stop(struct job_run *run, bool calm, struct pi_error *err)
{
    const struct cli_wait how = {.stopped = true, .caller_tells_rest = true, .calm = calm};
    int r = look_at_job(run, err);
    return r < 0 ? r : cli_wait(&how, &run->agent, &run->instance, 1, err);
}

/* Until it has stopped. More signals change nothing: the agent itself ends a guest that does not obey in time, and the
 * scheduler kills all of the job if that is too late. */
static void power_down(struct job_run *run)
{
    const struct api_stop stop = {.timeout_ms = run->job->grace_ms ? run->job->grace_ms : CLI_JOB_GRACE_MS,
                                  .step_ms = STEP_MS};
    struct pi_error why;
    bool forced;
    json_auto_t *body = api_write(stop, &stop);
    if (look_at_job(run, &why) < 0 || cli_state_is_over(run->instance.state))
        return;
    fprintf(stderr, "%s: powering down\n", run->instance.name);
    if (cli_call(&run->agent, "POST", run->instance.name, "powerdown", body, NULL, &why) < 0)
        return;
    while (await_stop(run, false, &why) > CLI_EXIT_SIGNAL)
        ;
    if (look_at_job(run, &why) == 0)
        fprintf(stderr, "%s: %s\n", run->instance.name, cli_ended_by(run->instance.stopped_by, &forced));
}

static int run_to_the_end(struct job_run *run, struct pi_error *err)
{
    const struct cli_wait how = {
        .fresh = true, .caller_ends_it = true, .caller_tells_rest = true, .timeout_ms = run->job->timeout_ms};
    int r = create_job_instance(run, err);
    if (r == 0)
        r = cli_wait(&how, &run->agent, &run->instance, 1, err);
    if (r == 0)
        r = await_stop(run, true, err);
    if (r != 0 && run->instance.name)
        power_down(run);
    return r;
}

/* The console's stream ends with the instance, when all of it was read. */
static void drain_console(struct job_run *run)
{
    struct pi_error why;
    for (uint64_t end = pi_monotonic_ms() + CONSOLE_MS; run->console && pi_monotonic_ms() < end;)
        if (api_client_wait(run->agent.client, NULL, 0, 100, &why) < 0)
            return;
}

/* The agent is this process's child, and makes files as long as it runs. */
static void end_agent(struct job_run *run)
{
    struct pi_identity id;
    struct pi_error why;
    const struct api_agent_stop how = {.force = true};
    json_auto_t *body = api_write(agent_stop, &how);
    pid_t pid = cli_agent_process(&run->agent.paths);
    pi_auto_close int pidfd = pid && pi_identify(pid, &id, NULL) == 0 ? pi_identity_open(&id) : -1;
    if (pidfd < 0)
        return;
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    (void)api_client_call(run->agent.client, "POST", "/v1/agent/stop", body, CLI_CALL_MS, NULL, &why);
    if (poll(&ended, 1, END_MS) == 0) {
        pi_signal(pidfd, SIGKILL);
        poll(&ended, 1, END_MS);
    }
}

static void leave_job(struct job_run *run)
{
    struct pi_error why;
    if (run->instance.name) {
        (void)cli_call(&run->agent, "DELETE", run->instance.name, NULL, NULL, NULL, &why);
        drain_console(run);
    }
    end_agent(run);
    api_done(instance, &run->instance);
    cli_agent_done(&run->agent);
    if (cli_job_folder_remove(&run->folder, &why) < 0)
        fprintf(stderr, "piagent: the job's folder %s stays behind: %s\n", run->folder.path, why.text);
}

int cli_job(const struct cli_job *job, struct pi_error *err)
{
    struct job_run run = {.job = job, .agent = {.bound = true}, .folder = {.lock_fd = -1}};
    cli_follow_hold_signals();
    unsetenv(API_METRICS_VARIABLE); /* only one agent of this host can have the port */
    int r = cli_job_folder_make(&run.folder, err);
    if (r == 0)
        r = cli_connect(&run.agent, err);
    if (r == 0)
        r = run_to_the_end(&run, err);
    leave_job(&run);
    return r;
}
