/* SPDX-License-Identifier: MIT */
/* The agent's process: one lock, two servers, the loop, and the end of it. */
#include "agent/daemon/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/api/client.h"
#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/fs.h"
#include "agent/base/text.h"
#include "agent/daemon/daemon.h"
#include "agent/daemon/instances_lock.h"
#include "agent/daemon/routes.h"
#include "agent/daemon/takeover.h"
#include "agent/instance/instance.h"
#include "agent/instance/membership.h"
#include "agent/loop/log.h"

#define WORKERS_MS 2000 /* for workers that were cancelled to end, before the agent does */

uint64_t agent_running(const struct agent *agent)
{
    const struct instance *instance;
    uint64_t count = 0;
    LIST_FOREACH(instance, &agent->host.instances, entry)
        count += vm_state_is_live(instance->record.life.state);
    return count;
}

static void tell_status(const struct agent *agent)
{
    if (agent->service.notify_fd >= 0)
        service_tell(&agent->service, "STATUS=%" PRIu64 " instances run; seeds on 127.0.0.1:%u",
                     agent_running(agent), agent->seed_port.port);
}

/* From the loop: if the loop hangs, the service manager starts the agent anew. */
static void on_ping(void *user)
{
    struct agent *agent = user;
    service_tell(&agent->service, "WATCHDOG=1");
    timer_set(agent->ping_timer, agent->service.ping_ms);
}

static int start_pings(struct agent *agent, struct pi_error *err)
{
    if (!agent->service.ping_ms)
        return 0;
    if (!(agent->ping_timer = timer_new(&agent->loop, on_ping, agent)))
        return pi_fail(err, ENOMEM, "agent");
    on_ping(agent);
    return 0;
}

/* The servers on the loop. */

static void on_prepare(uv_prepare_t *handle)
{
    struct agent *agent = handle->data;
    pump_rearm(&agent->imds_pump);
    pump_rearm(&agent->api_pump);
    pump_rearm(&agent->metrics.pump);
}

static void run_imds(void *user)
{
    const struct agent *agent = user;
    imds_server_run(agent->imds, pi_monotonic_ms());
}

static int imds_timeout(void *user)
{
    const struct agent *agent = user;
    return imds_server_timeout_ms(agent->imds, pi_monotonic_ms());
}

static void run_api(void *user)
{
    const struct agent *agent = user;
    api_server_run(agent->api);
}

static int api_timeout(void *user)
{
    const struct agent *agent = user;
    return api_server_timeout_ms(agent->api);
}

static int start_imds(struct agent *agent, int state_fd, struct pi_error *err)
{
    struct seed_port *port = &agent->seed_port;
    int r = seed_port_open(state_fd, port, err);
    if (r < 0)
        return r;
    if ((r = imds_registry_new(&agent->host.registry)) == 0)
        r = imds_server_new(port->listen_fd, agent->host.registry, &guest_imds_handler, agent, NULL,
                            &agent->imds);
    if (r < 0)
        return pi_fail(err, -r, "cannot serve seeds");
    pi_steal_fd(&port->listen_fd);
    agent->host.seed_port = port->port;
    agent->host.remembered_seed_port = port->remembered;
    agent->host.seed_port_fd = port->hold_fd;
    return pump_start(&agent->imds_pump, &agent->loop, imds_server_fd(agent->imds), run_imds, imds_timeout,
                      agent, err);
}

static int start_api(struct agent *agent, int *fd, struct pi_error *err)
{
    int r = api_server_new(*fd, API_CLIENTS_OWNER, agent_route, agent, &agent->api, err);
    if (r < 0)
        return r;
    pi_steal_fd(fd);
    return pump_start(&agent->api_pump, &agent->loop, api_server_fd(agent->api), run_api, api_timeout, agent,
                      err);
}

void agent_stop(struct agent *agent)
{
    (void)pi_write_all(agent->sockets.lock_fd, API_LOCK_STOPPED, strlen(API_LOCK_STOPPED));
    uv_stop(&agent->loop);
}

/* A hundred instances need some hundred descriptors. The soft limit is only a default. */
static void raise_limits(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

/* The callbacks of struct instance_host. */

static void on_instance_news(const void *topic, void *user)
{
    struct agent *agent = user;
    if (agent->api)
        api_server_wake(agent->api, topic);
}

static void on_topic_end(const void *topic, void *user)
{
    struct agent *agent = user;
    if (agent->api)
        api_server_end(agent->api, topic);
}

static void on_instance_event(const char *line, size_t size, void *user)
{
    struct agent *agent = user;
    feed_add(&agent->feed, line, size);
    on_instance_news(&agent->feed, agent);
}

static void on_instance_state(void *user)
{
    tell_status(user);
}

static void on_runtime_needed(void *user)
{
    runtime_keep(user);
}

static void fill_host(struct agent *agent)
{
    static const struct instance_listener listener = {.wake = on_instance_news,
                                                      .end = on_topic_end,
                                                      .event = on_instance_event,
                                                      .state = on_instance_state,
                                                      .need_runtime = on_runtime_needed};
    struct instance_host *host = &agent->host;
    host->loop = &agent->loop;
    host->folder = agent->paths.instances;
    host->runtime = agent->paths.runtime;
    host->images = agent->paths.images;
    host->program = agent->program;
    host->listener = &listener;
    host->user = agent;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    host->processors = processors > 0 ? (uint64_t)processors : 1;
    host->lans = (struct lans){.loop = &agent->loop,
                               .folder = agent->paths.networks,
                               .runtime = agent->paths.runtime,
                               .program = agent->program,
                               .members = membership_list,
                               .user = host,
                               .folder_fd = -1};
    boots_file_open(&host->boots, &agent->loop, agent->paths.state);
}

static bool is_undoing_creations(const struct agent *agent)
{
    const struct instance *instance;
    LIST_FOREACH(instance, &agent->host.instances, entry)
        if (creation_is_being_undone(instance))
            return true;
    return false;
}

static void undo_creations(struct agent *agent, const char *why)
{
    struct instance *instance;
    LIST_FOREACH(instance, &agent->host.instances, entry)
        if (creation_is_under_way(instance))
            creation_give_up(instance, why);
}

/* The command line of "piagent agent". */
struct agent_words {
    int ready_fd;        /* -1 = none */
    const char *metrics; /* borrowed; NULL = what the environment says */
    bool bound;          /* its QEMUs end with it, as it ends with the command that started it */
};

static int set_up_agent(struct agent *agent, const struct agent_words *words, struct pi_error *err)
{
    int r = pi_paths_find(&agent->paths, err);
    if (r < 0 || (r = pi_boot_id(agent->host.boot_id, err)) < 0)
        return r;
    if (!(agent->program = realpath("/proc/self/exe", NULL)))
        return pi_fail(err, errno, "/proc/self/exe");
    pi_auto_close int control_fd = -1;
    if ((r = service_take(agent->paths.runtime, API_SOCKET_NAME, &agent->service, err)) < 0 ||
        (r = runtime_open(agent, &control_fd, err)) < 0)
        return r;
    pi_auto_close int state_fd = pi_dir_open(agent->paths.state, err);
    if (state_fd < 0)
        return state_fd;
    if ((agent->host.folder_fd = pi_dir_open(agent->paths.instances, err)) < 0)
        return agent->host.folder_fd;
    if ((r = instances_lock_take(&agent->paths, agent->host.folder_fd, state_fd, err)) < 0)
        return r;
    pi_temp_sweep(state_fd);
    fill_host(agent);
    agent->host.bound = words->bound;
    /* The seeds first: adopted guests may ask for them. Networks before their members. The control API last: whoever it
     * answers sees all instances, and what is known of their fleets. */
    if ((r = start_imds(agent, state_fd, err)) < 0 || (r = runtime_serve(agent, err)) < 0 ||
        (r = metrics_port_open(agent, words->metrics ? words->metrics : getenv(API_METRICS_VARIABLE), err)) <
            0 ||
        (r = lans_open(&agent->host.lans, err)) < 0 || (r = agent_adopt_all(agent, err)) < 0)
        return r;
    fleets_file_open(&agent->host.fleets, &agent->loop, agent->paths.state, &agent->host.fleet_changes);
    peers_left(&agent->host);
    if ((r = start_api(agent, &control_fd, err)) < 0)
        return r;
    return (r = agent_watch_sleep(agent, err)) < 0 ? r : start_pings(agent, err);
}

static void stop_waiting(void *user)
{
    bool *late = user;
    *late = true;
}

/* A worker that takes longer gets SIGTERM again when this process has ended. */
static void await_workers(struct agent *agent)
{
    bool late = false;
    struct timer *timer = timer_new(&agent->loop, stop_waiting, &late);
    if (timer)
        timer_set(timer, WORKERS_MS);
    while (timer && !late && agent->host.ending_workers)
        uv_run(&agent->loop, UV_RUN_ONCE);
    timer_free(timer);
}

static void finish_agent(struct agent *agent)
{
    struct instance *instance;
    pump_stop(&agent->api_pump);
    metrics_port_close(agent);
    pump_stop(&agent->imds_pump);
    runtime_close(agent);
    timer_free(pi_steal(agent->ping_timer));
    timer_free(pi_steal(agent->sleep_timer));
    while (is_undoing_creations(agent))
        uv_run(&agent->loop, UV_RUN_ONCE);
    fleets_file_leave(&agent->host.fleets);
    lans_leave(&agent->host.lans); /* the loop runs on for a while, without instances */
    while ((instance = LIST_FIRST(&agent->host.instances)))
        instance_detach(instance);
    api_server_free(pi_steal(agent->api));
    while (agent->host.writes || agent->host.lans.writes || boots_file_is_busy(&agent->host.boots) ||
           fleets_file_is_busy(&agent->host.fleets))
        uv_run(&agent->loop, UV_RUN_ONCE);
    await_workers(agent);
    lans_close(&agent->host.lans);
    fleets_file_close(&agent->host.fleets);
    feed_done(&agent->feed);
    imds_server_free(pi_steal(agent->imds));
    imds_registry_free(pi_steal(agent->host.registry));
    seed_port_close(&agent->seed_port);
    free(agent->imds_socket);
    free(agent->program);
    pi_paths_done(&agent->paths);
    pi_close_p(&agent->host.folder_fd);
    service_done(&agent->service);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct agent *agent = handle->data;
    log_line("SIG%s: the agent stops, guests run on", sigabbrev_np(number));
    if (agent->service.notify_fd < 0)
        agent_stop(agent);
    else /* a service manager starts the next agent, and followers wait for it */
        uv_stop(handle->loop);
}

/* The owners have freed their timers and watches. A handle that is left would leak. */
static void close_handle(uv_handle_t *handle, void *user)
{
    (void)user;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void report_ready(int fd, int result, const struct pi_error *err)
{
    if (fd < 0)
        return;
    if (result == 0) {
        dprintf(fd, "ok\n");
    } else {
        json_auto_t *line = json_pack("{s:o}", "error", pi_failure_write(err));
        json_dumpfd(line, fd, JSON_COMPACT);
        dprintf(fd, "\n");
    }
    close(fd);
}

static void tell_started(const struct agent *agent, int result, const struct pi_error *err)
{
    if (result == 0)
        service_tell(&agent->service, "READY=1");
    else
        service_tell(&agent->service, "STATUS=%s\nERRNO=%d", err->text, -result);
    if (result == 0)
        tell_status(agent);
}

static int serve_until_told(struct agent *agent, const struct agent_words *words, struct pi_error *err)
{
    uv_prepare_t prepare;
    uv_signal_t signals[2];
    static const int numbers[2] = {SIGTERM, SIGINT};
    int r = set_up_agent(agent, words, err);
    report_ready(words->ready_fd, r, err);
    tell_started(agent, r, err);
    if (r == 0) {
        uv_prepare_init(&agent->loop, &prepare);
        prepare.data = agent;
        uv_prepare_start(&prepare, on_prepare);
        for (int i = 0; i < 2; i++) {
            uv_signal_init(&agent->loop, &signals[i]);
            signals[i].data = agent;
            uv_signal_start(&signals[i], on_signal, numbers[i]);
        }
        log_line("agent %s (process %d) is up, seeds on 127.0.0.1:%u", PIAGENT_VERSION, (int)getpid(),
                 agent->seed_port.port);
        uv_run(&agent->loop, UV_RUN_DEFAULT);
        service_tell(&agent->service, "STOPPING=1\nSTATUS=instances run on");
        undo_creations(agent, "the agent was stopped while it was being created");
    }
    finish_agent(agent);
    uv_walk(&agent->loop, close_handle, NULL);
    uv_run(&agent->loop, UV_RUN_DEFAULT);
    return r;
}

static int parse_ready_fd(const char *text, int *ret, struct pi_error *err)
{
    uint64_t fd;
    int r = pi_number_parse(text, 3, 1023, &fd, err);
    if (r < 0)
        return pi_context(err, r, "--ready-fd");
    *ret = (int)fd;
    return fcntl(*ret, F_SETFD, FD_CLOEXEC) < 0 ? pi_fail(err, errno, "--ready-fd %s", text) : 0;
}

static int parse_words(int argc, char **argv, struct agent_words *ret, struct pi_error *err)
{
    static const char metrics[] = "--metrics=";
    int r = 0;
    for (int i = 1; r == 0 && i < argc; i++) {
        if (!strcmp(argv[i], "--ready-fd") && i + 1 < argc)
            r = parse_ready_fd(argv[++i], &ret->ready_fd, err);
        else if (!strcmp(argv[i], "--bound"))
            ret->bound = true;
        else if (!strcmp(argv[i], "--metrics") && i + 1 < argc)
            ret->metrics = argv[++i];
        else if (pi_starts_with(argv[i], metrics))
            ret->metrics = argv[i] + strlen(metrics);
        else
            r = pi_refuse(
                err, PI_USAGE,
                "piagent agent takes 'start', 'status', 'stop', --metrics ADDRESS or nothing: see piagent "
                "agent --help");
    }
    return r;
}

int agent_main(int argc, char **argv)
{
    struct agent agent = {.host = {.folder_fd = -1, .started_ms = pi_realtime_ms()},
                          .sockets = RUNTIME_NONE,
                          .service = SERVICE_NONE,
                          .seed_port = SEED_PORT_NONE};
    struct pi_error err = {0};
    struct agent_words words = {.ready_fd = -1};
    int r = parse_words(argc, argv, &words, &err);
    if (r == 0 && (r = uv_loop_init(&agent.loop)) < 0)
        pi_fail(&err, -r, "event loop");
    if (r == 0) {
        LIST_INIT(&agent.host.instances);
        signal(SIGPIPE, SIG_IGN);
        umask(077);
        raise_limits();
        r = serve_until_told(&agent, &words, &err);
        uv_loop_close(&agent.loop);
        pi_close_p(&agent.sockets.lock_fd);
    }
    if (r < 0)
        fprintf(stderr, "piagent: %s\n", err.text);
    return r < 0 ? (int)err.kind : PI_OK;
}
