#include "agent/cli/connect.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/fs.h"
#include "agent/base/proc.h"
#include "agent/base/text.h"

#define START_MS     60000u /* adoption of many guests on a loaded host takes its time */
#define READY_MAX    4096u  /* of the line that a starting agent says */
#define LOG_TAIL_MAX 2048

static int ping(struct cli_agent *agent, struct pi_error *err)
{
    return api_client_call(agent->client, "GET", "/v1/agent", NULL, CLI_CALL_MS, NULL, err);
}

/* This program by its path, so that a list of processes shows its name; by the kernel's link where the file
 * was replaced since (an upgrade). */
static void own_program(char ret[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", ret, PATH_MAX - 1);
    ret[n > 0 ? n : 0] = '\0';
    if (access(ret, X_OK) != 0)
        snprintf(ret, PATH_MAX, "/proc/self/exe");
}

/* What the agent wrote last: why it died, mostly. */
static void last_log_line(int log_fd, char *ret, size_t size)
{
    char tail[LOG_TAIL_MAX + 1];
    struct stat st;
    ret[0] = '\0';
    if (fstat(log_fd, &st) < 0)
        return;
    off_t at = st.st_size > LOG_TAIL_MAX ? st.st_size - LOG_TAIL_MAX : 0;
    ssize_t n = pread(log_fd, tail, LOG_TAIL_MAX, at);
    while (n > 0 && tail[n - 1] == '\n')
        n--;
    tail[n > 0 ? n : 0] = '\0';
    const char *line = strrchr(tail, '\n');
    line = line ? line + 1 : tail;
    pi_text_clean(line, strlen(line), ret, size);
}

/* Reads the agent's one line. 0 with what came of it, which is nothing where the agent died. */
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

static int await_ready(int fd, int log_fd, const char *log_path, struct pi_error *err)
{
    char line[READY_MAX], last[512];
    int r = read_line(fd, line, err);
    if (r < 0)
        return pi_context(err, r, "see %s", log_path);
    if (!strcmp(line, "ok"))
        return 0;
    json_auto_t *reply = pi_json_parse(line, strlen(line), NULL);
    struct api_failure said = {0};
    if (api_read(failure, json_object_get(reply, "error"), &said, NULL) == 0) {
        r = pi_refuse(err, pi_kind_from_name(said.kind), "the agent cannot start: %s", said.message);
    } else {
        last_log_line(log_fd, last, sizeof last);
        r = pi_refuse(err, PI_AGENT, "the agent died while starting: %s (see %s)",
                      last[0] ? last : "it said nothing", log_path);
    }
    api_done(failure, &said);
    return r;
}

static int start_agent(const struct pi_paths *paths, struct pi_error *err)
{
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
    own_program(program);
    pid_t pid;
    const struct pi_spawn how = {
        .argv = (const char *const[]){program, "agent", "--ready-fd", "3", NULL},
        .fds = (const int[]){-1, log_fd, log_fd, writer},
        .fd_count = 4,
        .new_session = true,
    };
    if ((r = pi_spawn(&how, &pid, &pidfd, err)) < 0)
        return r;
    close(pi_steal_fd(&writer));
    return await_ready(reader, log_fd, log_path, err);
}

int cli_reconnect(struct cli_agent *agent, struct pi_error *err)
{
    if (ping(agent, NULL) == 0)
        return 0;
    pi_auto_close int dir = pi_dir_open(agent->paths.runtime, err);
    if (dir < 0)
        return dir;
    pi_auto_close int lock = openat(dir, "start.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0 || flock(lock, LOCK_EX) < 0)
        return pi_fail(err, errno, "cannot lock %s/start.lock", agent->paths.runtime);
    /* Whoever had the lock before may have started one. */
    int r = ping(agent, err);
    if (r == 0 || (err && err->kind != PI_AGENT))
        return r;
    r = start_agent(&agent->paths, err);
    return r < 0 ? r : ping(agent, err);
}

static int find_agent(struct cli_agent *ret, struct pi_error *err)
{
    pi_auto_free char *socket = NULL;
    int r = pi_paths_find(&ret->paths, err);
    if (r < 0)
        return r;
    if (asprintf(&socket, "%s/%s", ret->paths.runtime, API_SOCKET_NAME) < 0)
        return pi_fail(err, ENOMEM, "cannot talk to the agent");
    return api_client_new(socket, &ret->client, err);
}

int cli_connect(struct cli_agent *ret, struct pi_error *err)
{
    int r = find_agent(ret, err);
    return r < 0 ? r : cli_reconnect(ret, err);
}

int cli_connect_running(struct cli_agent *ret, struct pi_error *err)
{
    int r = find_agent(ret, err);
    return r < 0 ? r : ping(ret, err);
}

void cli_agent_done(struct cli_agent *agent)
{
    api_client_free(agent->client);
    pi_paths_done(&agent->paths);
    *agent = (struct cli_agent){0};
}

int cli_call(struct cli_agent *agent, const char *method, const char *name, const char *what,
             const json_t *body, json_t **ret, struct pi_error *err)
{
    char path[PI_NAME_MAX + 64];
    int r = pi_name_check(name, err);
    if (r < 0)
        return r;
    snprintf(path, sizeof path, "/v1/instances/%s%s%s", name, what ? "/" : "", what ? what : "");
    return api_client_call(agent->client, method, path, body, CLI_CALL_MS, ret, err);
}

int cli_get_instance(struct cli_agent *agent, const char *name, struct api_instance *ret,
                     struct pi_error *err)
{
    json_auto_t *reply = NULL;
    int r = cli_call(agent, "GET", name, NULL, NULL, &reply, err);
    if (r == 0 && (r = api_read(instance, reply, ret, err)) < 0) {
        api_done(instance, ret);
        r = pi_context(err, r, "the agent's answer");
    }
    return r;
}
