/* SPDX-License-Identifier: MIT */
#include "agent/cli/client/connect.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/environ.h"
#include "agent/base/fs.h"
#include "agent/base/proc.h"
#include "agent/base/text.h"
#include "agent/image/sources.h"

#define PATIENCE_MS 5000u  /* after so long the command says what it waits for */
#define CONFLICT_MS 10000u /* for an agent that somebody else has started to come up */
#define ANEW_MS     6000u  /* for an agent to notice that its folder was taken away, and make it anew */
#define START_MS    60000u /* adoption of many guests on a loaded host takes its time */
#define READY_MAX   4096u  /* of the line that a starting agent writes */

/* Opens the agent's lock file. The descriptor, or negative; *ret_pid is the process that had it last, 0 =
 * unknown. */
static int open_lock(const struct pi_paths *paths, pid_t *ret_pid, bool *ret_stopped)
{
    char path[PATH_MAX], text[32] = "";
    uint64_t pid = 0;
    snprintf(path, sizeof path, "%s/" API_LOCK_NAME, paths->runtime);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char *end = fd < 0 || pread(fd, text, sizeof text - 1, 0) < 0 ? text : text + strcspn(text, " ");
    *ret_stopped = pi_starts_with(end, API_LOCK_STOPPED);
    *end = '\0';
    *ret_pid = pi_number_parse(text, 1, INT32_MAX, &pid, NULL) < 0 ? 0 : (pid_t)pid;
    return fd;
}

pid_t cli_agent_process(const struct pi_paths *paths)
{
    pid_t pid;
    bool stopped;
    pi_auto_close int fd = open_lock(paths, &pid, &stopped);
    return fd < 0 || flock(fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK ? 0 : pid;
}

bool cli_agent_was_stopped(const struct pi_paths *paths)
{
    pid_t pid;
    bool stopped;
    pi_auto_close int fd = open_lock(paths, &pid, &stopped);
    return fd >= 0 && stopped;
}

int cli_refuse_lost(const struct pi_paths *paths, pid_t pid, struct pi_error *err)
{
    return pi_refuse(err, PI_AGENT,
                     "an agent runs (process %d), but not at %s/" API_SOCKET_NAME
                     ": piagent agent stop ends it, instances run on, and the next command starts another",
                     (int)pid, paths->runtime);
}

static void say_slow(void)
{
    fprintf(stderr, "no answer yet: the agent, or the QEMU that it asks, is slow or hangs\n");
}

/* An agent that lives and does not answer: no other one is started beside it. */
static int ask(struct cli_agent *agent, struct pi_error *err)
{
    int r = api_client_call(agent->client, "GET", "/v1/agent?summary=1", NULL, CLI_CALL_MS, NULL, err);
    if (r < 0 && err->kind == PI_USAGE)
        return 0; /* an older agent does not know the query, but it answers */
    if (r == 0 || err->kind != PI_TIMEOUT)
        return r;
    if (agent->host.url)
        pi_refuse(err, PI_AGENT, "%s does not answer: what runs there goes on", agent->host.url);
    else
        pi_refuse(err, PI_AGENT,
                  "the agent (process %d) does not answer: piagent agent stop ends it, instances run on",
                  (int)cli_agent_process(&agent->paths));
    return -ETIMEDOUT;
}

/* An agent that is about to end accepts the connection and hangs up. If a service manager holds its socket,
 * the next agent is on its way; otherwise the socket closes, too. */
static int ping(struct cli_agent *agent, struct pi_error *err)
{
    for (uint64_t end = pi_monotonic_ms() + START_MS;; usleep(20000)) {
        int r = ask(agent, err);
        if (r != -ECONNRESET || pi_monotonic_ms() >= end)
            return r;
    }
}

/* True if an agent looks after the instances, at whatever socket it listens. */
static bool instances_are_taken(const struct pi_paths *paths)
{
    pi_auto_close int fd = open(paths->instances, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

/* An agent whose socket is not there may be about to end, or to notice and bind it anew. */
static int ping_patiently(struct cli_agent *agent, struct pi_error *err)
{
    int r = ping(agent, err);
    for (uint64_t end = pi_monotonic_ms() + ANEW_MS;
         r < 0 && r != -ETIMEDOUT && err->kind == PI_AGENT && pi_monotonic_ms() < end &&
         instances_are_taken(&agent->paths);
         usleep(50000))
        r = ping(agent, err);
    return r;
}

void cli_own_program(char ret[PATH_MAX])
{
    static const char replaced[] = " (deleted)"; /* after an upgrade (proc(5)): use the new file */
    ssize_t n = readlink("/proc/self/exe", ret, PATH_MAX - 1);
    ret[n > 0 ? n : 0] = '\0';
    if (pi_ends_with(ret, replaced))
        ret[strlen(ret) - strlen(replaced)] = '\0';
    if (access(ret, X_OK) != 0)
        snprintf(ret, PATH_MAX, "/proc/self/exe");
}

/* Reads the one line that the agent writes. The line is empty if the agent died. */
static int read_line(int fd, char ret[READY_MAX], struct pi_error *err)
{
    uint64_t end = pi_monotonic_ms() + START_MS;
    size_t used = 0;
    while (used < READY_MAX - 1) {
        uint64_t now = pi_monotonic_ms();
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        if (now >= end || poll(&readable, 1, (int)(end - now)) == 0)
            return pi_refuse(err, PI_AGENT, "the agent was started but is not ready after %u s",
                             START_MS / 1000);
        ssize_t n = read(fd, ret + used, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || ret[used] == '\n')
            break;
        used++;
    }
    ret[used] = '\0';
    return 0;
}

static int await_ready(int fd, int log_fd, off_t log_from, const char *log_path, struct pi_error *err)
{
    char line[READY_MAX], last[512];
    int r = read_line(fd, line, err);
    if (r < 0)
        return pi_context(err, r, "see %s", log_path);
    if (!strcmp(line, "ok"))
        return 0;
    json_auto_t *reply = pi_json_parse(line, strlen(line), NULL);
    struct pi_error said;
    if (pi_failure_read(json_object_get(reply, "error"), &said) == 0)
        return pi_refuse(err, said.kind, "the agent cannot start: %s", said.text);
    pi_last_line(log_fd, log_from, last, sizeof last);
    return pi_refuse(err, PI_AGENT, "the agent died while starting: %s (see %s)",
                     last[0] ? last : "it said nothing", log_path);
}

static bool is_agents_setting(const char *setting)
{
    return pi_environ_is_common(setting) || image_sources_is_setting(setting) ||
           pi_environ_is_named(setting, (const char *const[]){API_METRICS_VARIABLE, NULL});
}

static int start_agent(const struct cli_agent *agent, struct pi_error *err)
{
    const struct pi_paths *paths = &agent->paths;
    char program[PATH_MAX];
    pi_auto_free char *log_path = NULL;
    int ends[2];
    int r = pi_dir_make(paths->state, err);
    if (r < 0)
        return r;
    if (asprintf(&log_path, "%s/agent.log", paths->state) < 0)
        return pi_fail(err, ENOMEM, "cannot start the agent");
    pi_auto_close int log_fd =
        open(log_path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
    if (log_fd < 0)
        return pi_fail(err, errno, "cannot start the agent: %s", log_path);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return pi_fail(err, errno, "cannot start the agent");
    pi_auto_close int reader = ends[0], writer = ends[1], pidfd = -1;
    off_t log_from = lseek(log_fd, 0, SEEK_END); /* earlier lines are of other agents */
    cli_own_program(program);
    pi_auto_strv struct pi_strv environment = {0};
    if (pi_environ_add(is_agents_setting, &environment) < 0)
        return pi_fail(err, ENOMEM, "cannot start the agent");
    pid_t pid;
    const struct pi_spawn how = {
        .argv =
            (const char *const[]){program, "agent", "--ready-fd", "3", agent->bound ? "--bound" : NULL, NULL},
        .fds = (const int[]){-1, log_fd, log_fd, writer},
        .fd_count = 4,
        .environ_ = (const char *const *)environment.items,
        .new_session = true,
        .deaf = agent->bound,
        .orphan_signal = agent->bound ? SIGKILL : 0,
    };
    if ((r = pi_spawn(&how, &pid, &pidfd, err)) < 0)
        return r;
    close(pi_steal_fd(&writer));
    return await_ready(reader, log_fd, log_from, log_path, err);
}

/* Somebody else's agent has the lock: it is about to listen, or its socket was taken away. */
static int await_other(struct cli_agent *agent, struct pi_error *err)
{
    int r;
    for (uint64_t end = pi_monotonic_ms() + CONFLICT_MS; pi_monotonic_ms() < end; usleep(100000))
        if ((r = ping(agent, err)) == 0 || r == -ETIMEDOUT)
            return r;
    return cli_refuse_lost(&agent->paths, cli_agent_process(&agent->paths), err);
}

/* Waits for the lock with which only one command starts an agent. A command that was itself stopped meanwhile
 * (Ctrl-Z) gives up. */
static int lock_start(const struct cli_agent *agent, int fd, struct pi_error *err)
{
    uint64_t begin = pi_monotonic_ms(), waited;
    for (bool told = false; flock(fd, LOCK_EX | LOCK_NB) < 0; usleep(20000)) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return pi_fail(err, errno, "cannot lock %s/start.lock", agent->paths.runtime);
        waited = pi_monotonic_ms() - begin;
        if (waited >= PATIENCE_MS && !told)
            fprintf(stderr, "another command is starting the agent: waiting for it\n");
        told = waited >= PATIENCE_MS;
        if (waited >= START_MS)
            return pi_refuse(err, PI_AGENT,
                             "another command has been starting the agent for %u s: end it if it is "
                             "stopped (fuser %s/start.lock names it)",
                             START_MS / 1000, agent->paths.runtime);
    }
    return 0;
}

static int connect_there(struct cli_agent *agent, bool unless_stopped, struct pi_error *err)
{
    int r = ask(agent, err);
    if (r == 0 || r == -ETIMEDOUT || err->kind != PI_AGENT)
        return r;
    if ((r = cli_host_forward(&agent->host, unless_stopped, err)) < 0)
        return r;
    r = ask(agent, err);
    return r == 0 || r == -ETIMEDOUT || err->kind != PI_AGENT
               ? r
               : pi_refuse(
                     err, PI_AGENT,
                     "%s: the agent there cannot be reached: its sshd_config may forbid AllowStreamLocalForwarding",
                     agent->host.url);
}

static int connect_here(struct cli_agent *agent, struct pi_error *err)
{
    int r = ping_patiently(agent, err);
    if (r == 0 || r == -ETIMEDOUT)
        return r;
    pi_auto_close int dir = pi_dir_open(agent->paths.runtime, err);
    if (dir < 0)
        return dir;
    pi_auto_close int lock = openat(dir, "start.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0)
        return pi_fail(err, errno, "cannot open %s/start.lock", agent->paths.runtime);
    if ((r = lock_start(agent, lock, err)) < 0)
        return r;
    /* The command that had the lock before may have started one. */
    r = ping(agent, err);
    if (r == 0 || r == -ETIMEDOUT || err->kind != PI_AGENT)
        return r;
    r = start_agent(agent, err);
    if (r == 0)
        return ping(agent, err);
    return err->kind == PI_CONFLICT ? await_other(agent, err) : r;
}

int cli_reconnect(struct cli_agent *agent, struct pi_error *err)
{
    return agent->host.url ? connect_there(agent, true, err) : connect_here(agent, err);
}

bool cli_may_ask_again(struct cli_agent *agent, struct pi_error *err)
{
    return err->kind == PI_AGENT && (agent->host.url || !cli_agent_was_stopped(&agent->paths)) &&
           cli_reconnect(agent, err) == 0;
}

static int prepare_for(const char *url, struct cli_agent *ret, struct pi_error *err)
{
    char socket[PATH_MAX];
    int r = pi_paths_find(&ret->paths, err);
    /* Checked before anything is sent: a program that listens in another user's folder (under /tmp) is not
     * the agent. */
    if (r == 0)
        r = pi_dir_make(ret->paths.runtime, err);
    if (r == 0 && url)
        r = cli_host_init(&ret->host, url, &ret->paths, err);
    if (r < 0)
        return r;
    snprintf(socket, sizeof socket, "%s/" API_SOCKET_NAME, ret->paths.runtime);
    if (url && (r = cli_host_socket(&ret->host, socket, err)) < 0)
        return r;
    r = api_client_new(socket, &ret->client, err);
    if (r == 0)
        api_client_on_slow(ret->client, PATIENCE_MS, say_slow);
    return r;
}

int cli_connect_prepare(struct cli_agent *ret, struct pi_error *err)
{
    return prepare_for(cli_host_chosen(), ret, err);
}

int cli_connect_to(const char *url, struct cli_agent *ret, struct pi_error *err)
{
    int r = prepare_for(url, ret, err);
    if (r < 0)
        return r;
    return url ? connect_there(ret, false, err) : connect_here(ret, err);
}

int cli_connect(struct cli_agent *ret, struct pi_error *err)
{
    return cli_connect_to(cli_host_chosen(), ret, err);
}

int cli_connect_running(struct cli_agent *ret, struct pi_error *err)
{
    int r = cli_connect_prepare(ret, err);
    return r < 0 ? r : ping_patiently(ret, err);
}

void cli_agent_done(struct cli_agent *agent)
{
    api_client_free(agent->client);
    cli_host_done(&agent->host);
    pi_paths_done(&agent->paths);
    *agent = (struct cli_agent){0};
}

/* part: "" or "/snapshots". */
static int call_instance(struct cli_agent *agent, const char *method, const char *name, const char *part,
                         const char *what, const json_t *body, uint64_t limit_ms, json_t **ret,
                         struct pi_error *err)
{
    char path[PI_NAME_MAX + 64];
    int r = pi_name_check(name, err);
    if (r < 0)
        return r;
    snprintf(path, sizeof path, "/v1/instances/%s%s%s%s", name, part, what ? "/" : "", what ? what : "");
    return api_client_call(agent->client, method, path, body, limit_ms, ret, err);
}

int cli_call(struct cli_agent *agent, const char *method, const char *name, const char *what,
             const json_t *body, json_t **ret, struct pi_error *err)
{
    return call_instance(agent, method, name, "", what, body, CLI_CALL_MS, ret, err);
}

int cli_call_snapshots(struct cli_agent *agent, const char *method, const char *name, const char *what,
                       const json_t *body, json_t **ret, struct pi_error *err)
{
    return call_instance(agent, method, name, "/snapshots", what, body, CLI_SNAPSHOT_MS, ret, err);
}

int cli_call_networks(struct cli_agent *agent, const char *method, const char *name, const json_t *body,
                      json_t **ret, struct pi_error *err)
{
    char path[PI_NAME_MAX + 64];
    int r = name ? pi_name_check(name, err) : 0;
    if (r < 0)
        return r;
    snprintf(path, sizeof path, "/v1/networks%s%s", name ? "/" : "", name ? name : "");
    return api_client_call(agent->client, method, path, body, CLI_CALL_MS, ret, err);
}

int cli_get_agent(struct cli_agent *agent, struct api_agent *ret, struct pi_error *err)
{
    json_auto_t *reply = NULL;
    int r = api_client_call(agent->client, "GET", "/v1/agent", NULL, CLI_CALL_MS, &reply, err);
    if (r == 0 && (r = api_read(agent, reply, ret, err)) < 0) {
        api_done(agent, ret);
        r = pi_context(err, r, "the agent's answer");
    }
    return r;
}

static int get_view(struct cli_agent *agent, const char *name, struct api_instance *ret, struct pi_error *err)
{
    json_auto_t *reply = NULL;
    int r = cli_call(agent, "GET", name, NULL, NULL, &reply, err);
    if (r == 0 && (r = api_read(instance, reply, ret, err)) < 0) {
        api_done(instance, ret);
        r = pi_context(err, r, "the agent's answer");
    }
    return r;
}

int cli_refuse_removed(const struct api_instance *instance, struct pi_error *err)
{
    return instance->removed
               ? pi_refuse(err, PI_NOT_FOUND, "%s is gone: it was ephemeral, and has ended", instance->name)
               : 0;
}

int cli_get_instance(struct cli_agent *agent, const char *name, struct api_instance *ret,
                     struct pi_error *err)
{
    int r = get_view(agent, name, ret, err);
    if (r == 0 && (r = cli_refuse_removed(ret, err)) < 0) {
        api_done(instance, ret);
        *ret = (struct api_instance){0};
    }
    return r;
}

int cli_get_same_instance(struct cli_agent *agent, const char *name, const char *uuid,
                          struct api_instance *ret, struct pi_error *err)
{
    int r = get_view(agent, name, ret, err);
    if (r == 0 && uuid[0] && strcmp(ret->spec.uuid, uuid) != 0)
        r = pi_refuse(err, PI_NOT_FOUND, "%s was removed, and another instance has its name now", name);
    return r;
}

int cli_create_instance(struct cli_agent *agent, const json_t *body, struct api_instance *ret,
                        struct pi_error *err)
{
    json_auto_t *reply = NULL;
    int r = api_client_call(agent->client, "POST", "/v1/instances", body, CLI_CALL_MS, &reply, err);
    if (r == 0 && (r = api_read(instance, reply, ret, err)) < 0) {
        api_done(instance, ret);
        r = pi_context(err, r, "the agent's answer");
    }
    ret->last_event = 0;
    return r;
}

struct stream {
    bool over;
    int result;
    struct pi_error error;
    int (*data)(const char *bytes, size_t size, void *user);
    void *user;
};

static int on_stream_data(const char *bytes, size_t size, void *user)
{
    struct stream *stream = user;
    return stream->data(bytes, size, stream->user);
}

static void on_stream_done(int result, const struct pi_error *err, void *user)
{
    struct stream *stream = user;
    stream->over = true;
    stream->result = result;
    stream->error = *err;
}

int cli_stream(struct cli_agent *agent, const char *path,
               int (*data)(const char *bytes, size_t size, void *user), void *user, struct pi_error *err)
{
    struct stream stream = {.data = data, .user = user};
    const struct api_sink sink = {.data = on_stream_data, .done = on_stream_done, .user = &stream};
    int r = api_client_start(agent->client, "GET", path, NULL, 0, &sink, NULL, err);
    while (r == 0 && !stream.over)
        r = api_client_wait(agent->client, NULL, 0, -1, err);
    if (r < 0 || stream.result == 0)
        return r;
    if (!stream.error.kind)
        return pi_fail(err, -stream.result, "cannot write the output");
    *err = stream.error;
    return stream.result;
}
