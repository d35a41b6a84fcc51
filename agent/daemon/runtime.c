/* SPDX-License-Identifier: MIT */
#include "agent/daemon/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/api/client.h"
#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/fs.h"
#include "agent/daemon/agent.h"
#include "agent/loop/log.h"
#include "agent/loop/sockets.h"

#define LOOK_MS     2000
#define IMDS_SOCKET "imds.sock"

/* Zeroed if there is no such file. */
static struct runtime_file file_at(const struct agent *agent, const char *name)
{
    char path[PATH_MAX];
    struct stat st = {0};
    snprintf(path, sizeof path, "%s/%s", agent->paths.runtime, name);
    (void)lstat(path, &st);
    return (struct runtime_file){st.st_dev, st.st_ino};
}

static bool is_there(const struct agent *agent, const char *name, const struct runtime_file *file)
{
    struct runtime_file now = file_at(agent, name);
    return now.ino == file->ino && now.dev == file->dev;
}

static int take_lock(struct agent *agent, struct pi_error *err)
{
    pi_auto_close int dir = pi_dir_open(agent->paths.runtime, err);
    if (dir < 0)
        return dir;
    pi_auto_close int fd = openat(dir, API_LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return pi_fail(err, errno, "%s/" API_LOCK_NAME, agent->paths.runtime);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        char pid[16] = "";
        if (pread(fd, pid, sizeof pid - 1, 0) < 0)
            pid[0] = '\0';
        return pi_refuse(err, PI_CONFLICT,
                         "an agent is running already (process %s): piagent agent status shows it", pid);
    }
    if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d", (int)getpid()) < 0)
        return pi_fail(err, errno, "%s/" API_LOCK_NAME, agent->paths.runtime);
    pi_temp_sweep(dir);
    pi_close_p(&agent->sockets.lock_fd);
    agent->sockets.lock_fd = pi_steal_fd(&fd);
    agent->sockets.lock = file_at(agent, API_LOCK_NAME);
    return 0;
}

/* Called with the lock held: if someone listens there, it is a socket unit and no agent. Binding would cut it
 * off. */
static int bind_control(struct agent *agent, struct pi_error *err)
{
    pi_auto_close int other = pi_socket_connect(agent->paths.runtime, API_SOCKET_NAME, NULL);
    if (other >= 0 || other == -EAGAIN)
        return pi_refuse(
            err, PI_CONFLICT,
            "the service manager listens at %s/" API_SOCKET_NAME
            " and starts the agent by itself: run a command, or first systemctl --user stop piagent.socket",
            agent->paths.runtime);
    return socket_listen_unix(agent->paths.runtime, API_SOCKET_NAME, err);
}

int runtime_open(struct agent *agent, int *ret_control_fd, struct pi_error *err)
{
    int r = take_lock(agent, err);
    if (r < 0)
        return r;
    pi_auto_close int fd =
        agent->service.listen_fd >= 0 ? pi_steal_fd(&agent->service.listen_fd) : bind_control(agent, err);
    if (fd < 0)
        return fd;
    agent->sockets.control = file_at(agent, API_SOCKET_NAME);
    *ret_control_fd = pi_steal_fd(&fd);
    return 0;
}

static void on_client(void *user)
{
    struct agent *agent = user;
    int fd = accept4(agent->sockets.control_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        api_server_add(agent->api, fd);
}

static void on_isolated_guest(void *user)
{
    struct agent *agent = user;
    int fd = accept4(agent->sockets.imds_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        imds_server_add(agent->imds, fd, pi_monotonic_ms());
}

/* Replaces the socket that listened before; takes fd over. */
static int listen_with(struct agent *agent, int fd, void (*fn)(void *user), int *at, struct watch **watch,
                       struct pi_error *err)
{
    pi_auto_close int own = fd;
    struct watch *made = fd < 0 ? NULL : watch_new(&agent->loop, fd, fn, agent);
    if (fd < 0)
        return fd;
    if (!made)
        return pi_fail(err, ENOMEM, "cannot listen in %s", agent->paths.runtime);
    watch_free(*watch);
    pi_close_p(at);
    *watch = made;
    *at = pi_steal_fd(&own);
    return 0;
}

static int listen_for_guests(struct agent *agent, struct pi_error *err)
{
    struct runtime *sockets = &agent->sockets;
    int r = listen_with(agent, socket_listen_unix(agent->paths.runtime, IMDS_SOCKET, err), on_isolated_guest,
                        &sockets->imds_fd, &sockets->imds_watch, err);
    if (r == 0)
        sockets->imds = file_at(agent, IMDS_SOCKET);
    return r;
}

static int listen_for_clients(struct agent *agent, struct pi_error *err)
{
    struct runtime *sockets = &agent->sockets;
    int r = listen_with(agent, bind_control(agent, err), on_client, &sockets->control_fd,
                        &sockets->control_watch, err);
    if (r == 0)
        sockets->control = file_at(agent, API_SOCKET_NAME);
    return r;
}

/* The lock comes first: without it another agent may be about to bind the sockets. */
static int make_anew(struct agent *agent, struct pi_error *err)
{
    struct runtime *sockets = &agent->sockets;
    int r = is_there(agent, API_LOCK_NAME, &sockets->lock) ? 0 : take_lock(agent, err);
    if (r == 0 && !is_there(agent, API_SOCKET_NAME, &sockets->control))
        r = listen_for_clients(agent, err);
    if (r == 0 && !is_there(agent, IMDS_SOCKET, &sockets->imds))
        r = listen_for_guests(agent, err);
    return r;
}

void runtime_keep(struct agent *agent)
{
    struct runtime *sockets = &agent->sockets;
    struct pi_error err;
    if (is_there(agent, API_LOCK_NAME, &sockets->lock) &&
        is_there(agent, API_SOCKET_NAME, &sockets->control) && is_there(agent, IMDS_SOCKET, &sockets->imds))
        return;
    int r = make_anew(agent, &err);
    if (r == 0)
        log_line("%s, or a file of the agent's in it, was taken away: it was made anew",
                 agent->paths.runtime);
    else if (!sockets->failure_told)
        log_line("%s, or a file of the agent's in it, was taken away, and cannot be made anew now: %s; "
                 "that is tried again",
                 agent->paths.runtime, err.text);
    sockets->failure_told = r < 0;
}

static void on_runtime_timer(void *user)
{
    struct agent *agent = user;
    runtime_keep(agent);
    timer_set(agent->sockets.timer, LOOK_MS);
}

int runtime_serve(struct agent *agent, struct pi_error *err)
{
    if (asprintf(&agent->imds_socket, "%s/" IMDS_SOCKET, agent->paths.runtime) < 0 ||
        !(agent->sockets.timer = timer_new(&agent->loop, on_runtime_timer, agent)))
        return pi_fail(err, ENOMEM, "cannot serve seeds");
    agent->host.imds_socket = agent->imds_socket;
    timer_set(agent->sockets.timer, LOOK_MS);
    return listen_for_guests(agent, err);
}

void runtime_close(struct agent *agent)
{
    struct runtime *sockets = &agent->sockets;
    watch_free(pi_steal(sockets->control_watch));
    watch_free(pi_steal(sockets->imds_watch));
    timer_free(pi_steal(sockets->timer));
    pi_close_p(&sockets->control_fd);
    pi_close_p(&sockets->imds_fd);
}
