/* SPDX-License-Identifier: MIT */
#include "agent/base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/fs.h"
#include "agent/base/paths.h"
#include "agent/base/text.h"

#define LINE_BYTES  256 /* of what a program said, in a message */
#define WORDS_BYTES 600

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* AddressSanitizer marks the frames of functions on their stack. It would not learn that the child's are gone from the
 * stack that it borrowed. */
#define IN_CHILD __attribute__((no_sanitize("address")))

/* A signal that comes before exec must not run a handler of the parent, whose memory the child may share. */
IN_CHILD static void drop_handlers(void)
{
    struct sigaction action;
    for (int number = 1; number < NSIG; number++)
        if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_IGN &&
            action.sa_handler != SIG_DFL)
            signal(number, SIG_DFL);
}

/* Runs in the child between fork and exec, so it makes async-signal-safe calls only. Of the parent's
 * descriptors only link stays open, because the child may wait for long. link is above every target. 0 or an
 * errno. */
IN_CHILD static int child_prepare(const struct pi_spawn *how, pid_t parent, int link)
{
    sigset_t blocked;
    drop_handlers();
    sigemptyset(&blocked);
    if (how->deaf) {
        sigaddset(&blocked, SIGTERM);
        sigaddset(&blocked, SIGINT);
        sigaddset(&blocked, SIGHUP);
    }
    sigprocmask(SIG_SETMASK, &blocked, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    if (how->new_session)
        setsid();
    if (how->folder && chdir(how->folder) < 0)
        return errno;
    /* If the parent ended before this call, no signal will come. */
    if (how->orphan_signal && (prctl(PR_SET_PDEATHSIG, how->orphan_signal) < 0 || getppid() != parent))
        return errno;

    /* Moves the descriptors out of the way of the targets, then into place, and closes all others. */
    int count = (int)how->fd_count, moved[32];
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (count > 32 || null < 0)
        return count > 32 ? EINVAL : errno;
    for (int i = 0; i < count; i++)
        if ((moved[i] = fcntl(how->fds[i] < 0 ? null : how->fds[i], F_DUPFD_CLOEXEC, count)) < 0)
            return errno;
    for (int i = 0; i < count; i++)
        if (dup2(moved[i], i) < 0)
            return errno;
    if ((link > count && close_range((unsigned)count, (unsigned)link - 1, 0) < 0) ||
        close_range((unsigned)link + 1, ~0U, 0) < 0)
        return errno;
    return 0;
}

/* A child before its exec. */
struct starting {
    const struct pi_spawn *how;
    pid_t parent;
    int ours, theirs; /* the ends of the socket between both */
    bool waits;
};

/* A child that waits needs a byte before it becomes the program. An end of file means that its parent has ended,
 * so it ends too. If exec fails, it sends its errno back over the same socket, which a successful exec
 * closes. */
IN_CHILD static int child_run(void *starting)
{
    const struct starting *self = starting;
    const struct pi_spawn *how = self->how;
    char go;
    close(self->ours);
    int link = fcntl(self->theirs, F_DUPFD_CLOEXEC, (int)how->fd_count);
    int errnum = link < 0 ? errno : child_prepare(how, self->parent, link);
    ssize_t n;
    do
        n = self->waits ? read(link, &go, 1) : 1;
    while (n < 0 && errno == EINTR);
    if (n != 1)
        _exit(125);
    if (!errnum) {
        execve(how->argv[0], (char *const *)how->argv,
               how->environ_ ? (char *const *)how->environ_ : environ);
        errnum = errno;
    }
    if (write(link, &errnum, sizeof errnum) < 0)
        _exit(126);
    _exit(127);
}

/* Waits until the child is the program. 0, or the errno of its exec. */
static int await_exec(int ours)
{
    int errnum = 0;
    ssize_t n;
    do
        n = read(ours, &errnum, sizeof errnum);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof errnum ? errnum : 0;
}

/* The child borrows the memory of its parent, and the thread that calls this stands still until its exec, as in
 * posix_spawn(3): to copy the page tables of a program with many libraries takes longer than all the rest. */
static pid_t child_borrow(struct starting *starting)
{
    _Alignas(16) char stack[64 << 10];
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = clone(child_run, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, starting);
    int errnum = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = errnum;
    return pid;
}

static pid_t child_fork(struct starting *starting)
{
    pid_t pid = fork();
    if (pid == 0)
        child_run(starting);
    return pid;
}

static int child_new(const struct pi_spawn *how, bool waits, struct pi_child *ret, struct pi_error *err)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return pi_fail(err, errno, "cannot start %s", how->argv[0]);
    pi_auto_close int ours = ends[0], theirs = ends[1];

    struct starting starting = {
        .how = how, .parent = getpid(), .ours = ours, .theirs = theirs, .waits = waits};
    pid_t pid = waits ? child_fork(&starting) : child_borrow(&starting);
    if (pid < 0)
        return pi_fail(err, errno, "cannot start %s", how->argv[0]);
    struct pi_child child = {pid, (int)syscall(SYS_pidfd_open, pid, 0), pi_steal_fd(&ours)};
    int errnum = errno;
    if (child.pidfd < 0) {
        pi_child_drop(&child);
        return pi_fail(err, errnum, "cannot start %s", how->argv[0]);
    }
    *ret = child;
    return 0;
}

int pi_child_new(const struct pi_spawn *how, struct pi_child *ret, struct pi_error *err)
{
    return child_new(how, true, ret, err);
}

static int child_started(struct pi_child *child, int *ret_pidfd)
{
    int errnum = await_exec(child->link);
    if (errnum) {
        pi_child_drop(child);
        return -errnum;
    }
    *ret_pidfd = pi_steal_fd(&child->pidfd);
    pi_close_p(&child->link);
    *child = PI_CHILD_NONE;
    return 0;
}

int pi_child_go(struct pi_child *child, int *ret_pidfd)
{
    if (send(child->link, "", 1, MSG_NOSIGNAL) < 0) {
        int errnum = errno;
        pi_child_drop(child);
        return -errnum;
    }
    return child_started(child, ret_pidfd);
}

void pi_child_drop(struct pi_child *child)
{
    if (child->pid <= 0)
        return;
    kill(child->pid, SIGKILL);
    waitpid(child->pid, NULL, 0);
    pi_close_p(&child->pidfd);
    pi_close_p(&child->link);
    *child = PI_CHILD_NONE;
}

int pi_spawn(const struct pi_spawn *how, pid_t *ret_pid, int *ret_pidfd, struct pi_error *err)
{
    struct pi_child child;
    int r = child_new(how, false, &child, err);
    if (r < 0)
        return r;
    pid_t pid = child.pid;
    if ((r = child_started(&child, ret_pidfd)) < 0)
        return pi_fail(err, -r, "cannot start %s", how->argv[0]);
    *ret_pid = pid;
    return 0;
}

int pi_reap(int pidfd, int *ret_code, char *text, size_t text_size)
{
    siginfo_t info = {0};
    if (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG) < 0)
        return -errno;
    if (info.si_pid == 0)
        return -EAGAIN;
    bool exited = info.si_code == CLD_EXITED;
    *ret_code = exited ? info.si_status : 128 + info.si_status;
    const char *name = exited ? NULL : sigabbrev_np(info.si_status);
    if (name)
        snprintf(text, text_size, "killed by SIG%s", name);
    else
        snprintf(text, text_size, "%s %d", exited ? "exit code" : "killed by signal", info.si_status);
    return 0;
}

int pi_boot_id(char ret[PI_BOOT_ID_LENGTH + 1], struct pi_error *err)
{
    pi_auto_buf struct pi_buf text = {0};
    int r = pi_file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &text, err);
    if (r < 0)
        return r;
    snprintf(ret, PI_BOOT_ID_LENGTH + 1, "%.*s", PI_BOOT_ID_LENGTH, text.data ? text.data : "");
    return 0;
}

int pi_proc_read(const char *pid, const char *file, struct pi_buf *ret)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/%s", pid, file);
    int r = pi_file_read(AT_FDCWD, path, 64 << 10, ret, NULL);
    return r < 0 || ret->size ? r : -ENODATA;
}

int pi_usage_read(pid_t pid, struct pi_usage *ret)
{
    char path[64];
    uint64_t fields[25] = {0}; /* by their numbers in proc_pid_stat(5) */
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    pi_auto_buf struct pi_buf stat = {0};
    int r = pi_file_read(AT_FDCWD, path, 4096, &stat, NULL);
    if (r < 0)
        return r;
    /* The second field is the program's name in parentheses, which may hold anything, also ')'. */
    const char *s = stat.data ? strrchr(stat.data, ')') : NULL;
    for (size_t field = 3; s && field < PI_ARRAY_SIZE(fields); field++)
        if ((s = strchr(s + 1, ' ')))
            fields[field] = strtoull(s, NULL, 10);
    if (!s)
        return -EBADMSG;
    *ret = (struct pi_usage){.start_ticks = fields[22],
                             .cpu_s = (double)(fields[14] + fields[15]) / (double)sysconf(_SC_CLK_TCK),
                             .virtual_bytes = fields[23],
                             .resident_bytes = fields[24] * (uint64_t)sysconf(_SC_PAGESIZE)};
    return 0;
}

int pi_memory_read(pid_t pid, uint64_t *ret)
{
    static const char *const keys[] = {"\nRssAnon:", "\nRssShmem:", "\nVmPTE:"}; /* each in kB */
    char text[16];
    uint64_t kib = 0;
    pi_auto_buf struct pi_buf status = {0};
    snprintf(text, sizeof text, "%d", (int)pid);
    int r = pi_proc_read(text, "status", &status);
    for (size_t i = 0; r == 0 && i < PI_ARRAY_SIZE(keys); i++) {
        const char *line = strstr(status.data, keys[i]);
        r = line ? 0 : -EBADMSG; /* it has ended: a zombie has no memory */
        kib += line ? strtoull(line + strlen(keys[i]), NULL, 10) : 0;
    }
    if (r == 0)
        *ret = kib << 10;
    return r;
}

int pi_identify(pid_t pid, struct pi_identity *ret, struct pi_error *err)
{
    struct pi_identity id = {.pid = pid};
    int r = pi_boot_id(id.boot_id, err);
    if (r < 0)
        return r;
    struct pi_usage usage;
    r = pi_usage_read(pid, &usage);
    if (r < 0)
        return pi_fail(err, -r, "cannot identify process %d", (int)pid);
    id.start_ticks = usage.start_ticks;
    *ret = id;
    return 0;
}

int pi_identity_open(const struct pi_identity *id)
{
    struct pi_identity now;
    if (id->pid <= 0)
        return -ESRCH;
    /* The pidfd is opened first: if another process takes the pid while this reads /proc, the poll below
     * notices. */
    pi_auto_close int pidfd = (int)syscall(SYS_pidfd_open, id->pid, 0);
    if (pidfd < 0)
        return -errno;
    int r = pi_identify(id->pid, &now, NULL);
    if (r < 0)
        return r == -ENOENT ? -ESRCH : r;
    if (now.start_ticks != id->start_ticks || strcmp(now.boot_id, id->boot_id) != 0)
        return -ESRCH;
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    if (poll(&ended, 1, 0) != 0)
        return -ESRCH;
    return pi_steal_fd(&pidfd);
}

int pi_signal(int pidfd, int signal)
{
    return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

/* The next line that is not empty, cleaned for people; false after the last one. */
static bool next_line(const char **at, const char *end, char *text, size_t size)
{
    while (*at < end && (**at == '\n' || **at == ' '))
        ++*at;
    if (*at == end)
        return false;
    const char *newline = memchr(*at, '\n', (size_t)(end - *at)), *stop = newline ? newline : end;
    pi_text_clean(*at, (size_t)(stop - *at), text, size);
    *at = stop;
    return true;
}

/* A program says why it failed in its first line (qemu-img) or in its last one (a traceback). Puts all lines
 * into text if they fit, else these two. */
static void summarize_output(const struct pi_buf *output, char *text, size_t size)
{
    const char *at = output->data ? output->data : "", *end = at + output->size;
    char line[LINE_BYTES], first[LINE_BYTES] = "";
    size_t used = 0;
    bool cut = false;
    text[0] = '\0';
    if (output->size == output->max) /* its beginning was dropped, so the first line is not whole */
        (void)next_line(&at, end, line, sizeof line);
    while (next_line(&at, end, line, sizeof line)) {
        if (!used)
            snprintf(first, sizeof first, "%s", line);
        cut |= used + strlen(line) + 3 > size;
        if (!cut)
            used += (size_t)snprintf(text + used, size - used, "%s%s", used ? "; " : "", line);
    }
    if (cut)
        snprintf(text, size, "%s ... %s", first, line);
}

/* Waits until the program writes something, or until end_ms: -ETIMEDOUT (0 = no limit). */
static int await_output(int fd, uint64_t end_ms)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    for (;;) {
        uint64_t now = end_ms ? pi_monotonic_ms() : 0;
        if (end_ms && now >= end_ms)
            return -ETIMEDOUT;
        int n = poll(&readable, 1, end_ms ? (int)(end_ms - now) : -1);
        if (n > 0 || (n < 0 && errno != EINTR))
            return n > 0 ? 0 : -errno;
    }
}

/* Keeps the end of the output, where a program says why it failed. */
static int collect_output(int fd, uint64_t end_ms, struct pi_buf *output)
{
    char chunk[4096];
    for (;;) {
        int r = await_output(fd, end_ms);
        if (r < 0)
            return r;
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        if (output->size + (size_t)n > output->max)
            pi_buf_consume(output, output->size + (size_t)n - output->max);
        if ((r = pi_buf_add(output, chunk, (size_t)n)) < 0)
            return r;
    }
}

int pi_run(const char *const *argv, struct pi_buf *output, int *ret_code, struct pi_error *err)
{
    return pi_run_within(argv, 0, output, ret_code, err);
}

int pi_run_within(const char *const *argv, uint64_t timeout_ms, struct pi_buf *output, int *ret_code,
                  struct pi_error *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return pi_fail(err, errno, "cannot run %s", argv[0]);
    pi_auto_close int reader = ends[0], writer = ends[1], pidfd = -1;
    pi_auto_free char *path = NULL;
    pi_auto_buf struct pi_buf out = {.max = 64 << 10};

    int r = pi_program_find(argv[0], &path, err);
    if (r < 0)
        return r;
    pi_auto_strv struct pi_strv args = {0};
    for (size_t i = 0; argv[i]; i++)
        if ((r = pi_strv_add(&args, i ? argv[i] : path)) < 0)
            return pi_fail(err, -r, "cannot run %s", argv[0]);
    pid_t pid;
    struct pi_spawn how = {.argv = (const char *const *)args.items,
                           .fds = (int[]){-1, writer, writer},
                           .fd_count = 3,
                           .orphan_signal = SIGKILL};
    if ((r = pi_spawn(&how, &pid, &pidfd, err)) < 0)
        return r;
    close(pi_steal_fd(&writer));
    r = collect_output(reader, timeout_ms ? pi_monotonic_ms() + timeout_ms : 0, &out);
    close(pi_steal_fd(&reader));
    if (r == -ETIMEDOUT)
        pi_signal(pidfd, SIGKILL);

    int code, status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return pi_fail(err, errno, "cannot wait for %s", argv[0]);
    if (r == -ETIMEDOUT) {
        char waited[32];
        pi_refuse(err, PI_TIMEOUT, "%s did not end in %s", argv[0], pi_duration_format(timeout_ms, waited));
        return r;
    }
    if (r == 0 && output)
        r = pi_buf_add(output, out.data, out.size);
    if (r < 0)
        return pi_fail(err, -r, "cannot read what %s says", argv[0]);
    code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (ret_code) {
        *ret_code = code;
        return 0;
    }
    if (code == 0)
        return 0;
    char words[WORDS_BYTES], own[64];
    summarize_output(&out, words, sizeof words);
    snprintf(own, sizeof own, "%s: ", argv[0]);
    const char *said = words + (pi_starts_with(words, own) ? strlen(own) : 0);
    return pi_refuse(err, PI_FAILED, "%s: %s", argv[0], *said ? said : "it failed and printed nothing");
}
