/* SPDX-License-Identifier: MIT */
#include "agent/loop/worker_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/environ.h"
#include "agent/base/failure.h"
#include "agent/base/lines.h"
#include "agent/base/proc.h"

struct worker {
    struct worker_handler handler;
    void *user;
    pid_t pid;
    int pidfd, out_fd;
    struct watch *exit_watch, *out_watch;
    struct pi_lines lines;
    json_t *result;
    struct pi_error failure; /* from its error line */
    bool failed;
};

static void worker_free(struct worker *worker)
{
    char text[64];
    int code;
    watch_free(worker->exit_watch);
    watch_free(worker->out_watch);
    if (worker->pidfd >= 0 && pi_reap(worker->pidfd, &code, text, sizeof text) == -EAGAIN) {
        pi_signal(worker->pidfd, SIGKILL);
        waitpid(worker->pid, NULL, 0);
    }
    pi_close_p(&worker->pidfd);
    pi_close_p(&worker->out_fd);
    pi_lines_done(&worker->lines);
    json_decref(worker->result);
    free(worker);
}

static void take_error(struct worker *worker, const json_t *error)
{
    if (pi_failure_read(error, &worker->failure) < 0)
        pi_refuse(&worker->failure, PI_FAILED, "the worker failed, and its error cannot be read");
    worker->failed = true;
}

static int on_worker_line(char *line, size_t size, void *user)
{
    struct worker *worker = user;
    json_auto_t *object = pi_json_parse(line, size, NULL);
    const json_t *progress = json_object_get(object, WORKER_PROGRESS),
                 *error = json_object_get(object, WORKER_ERROR);
    json_t *result = json_object_get(object, WORKER_RESULT);
    if (error)
        take_error(worker, error);
    if (progress && worker->handler.progress)
        worker->handler.progress(progress, worker->user);
    if (result && !worker->result)
        worker->result = json_incref(result);
    return 0;
}

/* True if there may be more. */
static bool read_worker(struct worker *worker)
{
    char chunk[4096];
    ssize_t n = read(worker->out_fd, chunk, sizeof chunk);
    if (n > 0)
        pi_lines_feed(&worker->lines, chunk, (size_t)n, on_worker_line, worker);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        watch_free(pi_steal(worker->out_watch));
    return n > 0;
}

static void on_worker_output(void *user)
{
    read_worker(user);
}

static void on_worker_ended(void *user)
{
    struct worker *worker = user;
    char text[64] = "ended";
    int code = 1;
    struct pi_error err;
    if (pi_reap(worker->pidfd, &code, text, sizeof text) == -EAGAIN)
        return;
    watch_free(pi_steal(worker->exit_watch));
    /* Reads all that is there now, but does not wait for the end of file: a child of the worker may hold the
     * pipe open for ever. */
    while (read_worker(worker))
        ;
    if (worker->failed)
        err = worker->failure;
    else if (code != 0 || !worker->result)
        pi_refuse(&err, PI_FAILED, "the worker ended with %s: see the agent's log", text);
    int r = worker->failed || code != 0 || !worker->result ? -EIO : 0;
    worker->handler.done(r, worker->result, &err, worker->user);
    worker_free(worker);
}

/* A file in memory that holds the request: a pipe could block the agent. */
static int open_request(const json_t *request, int *ret, struct pi_error *err)
{
    pi_auto_close int fd = memfd_create("request", MFD_CLOEXEC);
    if (fd < 0 || json_dumpfd(request, fd, JSON_COMPACT) < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return pi_fail(err, errno, "cannot start a worker");
    *ret = pi_steal_fd(&fd);
    return 0;
}

static int make_environment(const struct worker_job *job, struct pi_strv *ret, struct pi_error *err)
{
    int r = 0;
    for (size_t i = 0; job->environment && r == 0 && i < job->environment->count; i++)
        r = pi_strv_add(ret, job->environment->items[i]);
    if (r == 0)
        r = pi_environ_add(pi_environ_is_common, ret);
    return r < 0 ? pi_fail(err, -r, "cannot start a worker") : 0;
}

static int spawn_worker(struct worker *worker, const struct worker_job *job, int output_fd,
                        struct pi_error *err)
{
    pi_auto_strv struct pi_strv environment = {0};
    pi_auto_close int request_fd = -1;
    int r = open_request(job->request, &request_fd, err);
    if (r == 0)
        r = make_environment(job, &environment, err);
    if (r < 0)
        return r;
    const struct pi_spawn how = {
        .argv = (const char *const[]){job->program, "worker", worker_kind_names[job->kind], NULL},
        .fds = (int[]){request_fd, output_fd, STDERR_FILENO},
        .fd_count = 3,
        .environ_ = (const char *const *)environment.items,
        .new_session = true,
        .orphan_signal = SIGTERM};
    return pi_spawn(&how, &worker->pid, &worker->pidfd, err);
}

int worker_start(uv_loop_t *loop, const struct worker_job *job, const struct worker_handler *handler,
                 void *user, struct worker **ret, struct pi_error *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return pi_fail(err, errno, "cannot start a worker");
    pi_auto_close int writer = ends[1];
    struct worker *worker = calloc(1, sizeof *worker);
    if (!worker) {
        close(ends[0]);
        return pi_fail(err, ENOMEM, "cannot start a worker");
    }
    *worker = (struct worker){.handler = *handler, .user = user, .pidfd = -1, .out_fd = ends[0]};
    worker->lines.partial.max = WORKER_LINE_MAX;
    int r = spawn_worker(worker, job, writer, err);
    if (r == 0 && (!(worker->exit_watch = watch_new(loop, worker->pidfd, on_worker_ended, worker)) ||
                   !(worker->out_watch = watch_new(loop, worker->out_fd, on_worker_output, worker))))
        r = pi_fail(err, ENOMEM, "cannot start a worker");
    if (r < 0) {
        worker_free(worker);
        return r;
    }
    *ret = worker;
    return 0;
}

static void count_end(int r, const json_t *result, const struct pi_error *err, void *user)
{
    unsigned *ending = user;
    (void)r;
    (void)result;
    (void)err;
    --*ending;
}

void worker_cancel(struct worker *worker, unsigned *ending)
{
    if (!worker)
        return;
    bool disposable = worker->handler.disposable;
    worker->handler = (struct worker_handler){.done = count_end};
    worker->user = ending;
    ++*ending;
    if (disposable)
        kill(-worker->pid, SIGKILL); /* not reaped yet, so that the number of its session is its own */
    else
        pi_signal(worker->pidfd, SIGTERM);
}
