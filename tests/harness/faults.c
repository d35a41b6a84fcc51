/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into the agent (LD_PRELOAD), to break it at a chosen step: a step is a call that leaves something
 * behind, on disk, in the table of processes or with QEMU. $FAULTS names a file with one line, read again at
 * each step:
 *
 *   count                 steps are only logged
 *   kill before N         SIGKILL to the agent right before its Nth step since the line was written
 *   kill after N          right after it
 *   kill exec N           SIGKILL to the agent when its Nth child since is about to become its program, which
 *                         it does a second later
 *   fail N TIMES ERRNO    the Nth step, and those after it up to TIMES, fail; a write with ENOSPC is cut
 *                         short first
 *   full                  each step that takes space fails with ENOSPC
 *   nolinks               the file system has no hard links
 *   slow MS [N]           each fsync takes so much longer, in steps of 10 ms, or until the line changes; with N only after the Nth
 *                         child since
 *
 * $FAULTS.log gets a line for each step: its number, its name, and the file or command. Without the file
 * nothing happens. It breaks only `piagent agent`, not its children, and a `piagent worker` that a test
 * starts itself. Their threads take steps one after another.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/un.h>
#include <unistd.h>

#define SLICE_MS 10

/* clang-format off */
#define CALLS(DO) \
    DO(open) DO(openat) DO(write) DO(pwrite) DO(ftruncate) DO(fsync) DO(mkdir) DO(mkdirat) DO(linkat) \
    DO(renameat) DO(unlink) DO(unlinkat) DO(bind) DO(listen) DO(sendmsg) DO(syscall) DO(fork) DO(clone) \
    DO(execve)
/* clang-format on */
#define POINTER(name) __typeof__(&(name)) name;
#define LOOK_UP(name) real.name = (__typeof__(&(name)))dlsym(RTLD_NEXT, #name);
/* Looked up before there are threads: a child that is forked beside one may find the linker's lock held for
 * ever. */
static struct {
    CALLS(POINTER)
} real;
/* Another library's constructor may call one before ours has run. */
#define REAL(name) (real.name ? real.name : (__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

static struct {
    bool active, child;
    char control[200], line[64]; /* the file, and what it said last */
    unsigned steps, forks;       /* since it said that */
    unsigned first, times;       /* what to break */
    bool before, after, exec, full, nolinks;
    int errnum;
    unsigned slow_ms, slow_forks; /* after so many children */
    int short_fd;                 /* its next write fails: the one before was cut short */
    pthread_mutex_t lock;
} faults = {.short_fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER};

static __thread unsigned own_step; /* the number of the one that this thread is at; 0 = none that counts */

__attribute__((constructor)) static void start(int argc, char **argv)
{
    const char *control = getenv("FAULTS"), *name = argc > 1 ? strrchr(argv[0], '/') : NULL;
    CALLS(LOOK_UP)
    faults.active = control && name && !strcmp(name, "/piagent") &&
                    (!strcmp(argv[1], "worker") ||
                     (!strcmp(argv[1], "agent") && (argc == 2 || !strcmp(argv[2], "--ready-fd"))));
    if (faults.active)
        snprintf(faults.control, sizeof faults.control, "%s", control);
    if (faults.active) /* its children need not even load this */
        unsetenv("LD_PRELOAD");
}

static void read_line(void)
{
    char line[sizeof faults.line] = "";
    int fd = REAL(open)(faults.control, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, line, sizeof line - 1) < 0)
        line[0] = '\0';
    if (fd >= 0)
        close(fd);
    if (!strcmp(line, faults.line))
        return;
    char how[8] = "";
    memcpy(faults.line, line, sizeof line);
    faults.steps = faults.forks = faults.first = faults.times = 0;
    faults.errnum = 0;
    faults.short_fd = -1;
    sscanf(line, "kill %7s %u", how, &faults.first);
    faults.before = !strcmp(how, "before");
    faults.after = !strcmp(how, "after");
    faults.exec = !strcmp(how, "exec");
    faults.full = !strncmp(line, "full", 4);
    faults.nolinks = !strncmp(line, "nolinks", 7);
    sscanf(line, "fail %u %u %d", &faults.first, &faults.times, &faults.errnum);
    faults.slow_ms = faults.slow_forks = 0;
    sscanf(line, "slow %u %u", &faults.slow_ms, &faults.slow_forks);
}

static void note(const char *name, const char *what)
{
    char path[sizeof faults.control + 4], text[600];
    int saved = errno;
    snprintf(path, sizeof path, "%s.log", faults.control);
    int size = snprintf(text, sizeof text, "%u %s %s\n", faults.steps, name, what);
    int fd = REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd >= 0 && REAL(write)(fd, text, (size_t)size) < 0)
        abort();
    if (fd >= 0)
        close(fd);
    errno = saved;
}

static bool count_step(const char *name, const char *what, bool takes_space)
{
    own_step = 0;
    read_line();
    if (!faults.line[0])
        return true;
    own_step = ++faults.steps;
    note(name, what);
    if (faults.before && faults.steps == faults.first)
        kill(getpid(), SIGKILL);
    if (faults.full && takes_space) {
        errno = ENOSPC;
        return false;
    }
    if (faults.times && faults.steps >= faults.first && faults.steps - faults.first < faults.times) {
        errno = faults.errnum;
        return false;
    }
    return true;
}

/* True if the step may be done; else errno says why it fails. */
static bool begin(const char *name, const char *what, bool takes_space)
{
    if (!faults.active)
        return true;
    pthread_mutex_lock(&faults.lock);
    bool may = count_step(name, what, takes_space);
    pthread_mutex_unlock(&faults.lock);
    return may;
}

static unsigned slow_ms(void)
{
    if (!faults.active)
        return 0;
    pthread_mutex_lock(&faults.lock);
    read_line();
    unsigned ms = faults.forks >= faults.slow_forks ? faults.slow_ms : 0;
    pthread_mutex_unlock(&faults.lock);
    return ms;
}

static void done(void)
{
    if (faults.active && faults.after && own_step == faults.first)
        kill(getpid(), SIGKILL);
}

static const char *path_of(int fd, char ret[256])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, ret, 255);
    ret[n > 0 ? n : 0] = '\0';
    return ret;
}

static bool is_regular(int fd)
{
    struct stat st;
    return faults.active && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static bool is_there(int dir_fd, const char *path)
{
    return faccessat(dir_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A step that is one call: its result, or -1. */
#define STEP(name, what, takes_space, call)    \
    do {                                       \
        if (!begin(name, what, takes_space))   \
            return -1;                         \
        __typeof__(call) step_result = (call); \
        int step_errno = errno;                \
        done();                                \
        errno = step_errno;                    \
        return step_result;                    \
    } while (0)

int open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (!(flags & O_CREAT))
        return REAL(open)(path, flags, mode);
    STEP("open", path, true, REAL(open)(path, flags, mode));
}

int openat(int dir_fd, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (!(flags & O_CREAT))
        return REAL(openat)(dir_fd, path, flags, mode);
    STEP("open", path, true, REAL(openat)(dir_fd, path, flags, mode));
}

ssize_t write(int fd, const void *data, size_t size)
{
    char path[256];
    /* The agent's own log is nothing that an instance depends on. */
    if (!is_regular(fd) || fd == STDERR_FILENO)
        return REAL(write)(fd, data, size);
    if (fd == faults.short_fd) {
        faults.short_fd = -1;
        errno = ENOSPC;
        return -1;
    }
    if (!begin("write", path_of(fd, path), true)) {
        if (errno != ENOSPC || size < 2)
            return -1;
        faults.short_fd = fd;
        return REAL(write)(fd, data, size / 2);
    }
    ssize_t n = REAL(write)(fd, data, size);
    done();
    return n;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    char path[256];
    /* How often a console speaks is chance. */
    if (!is_regular(fd) || (strstr(path_of(fd, path), "/console.log") && !faults.full))
        return REAL(pwrite)(fd, data, size, offset);
    if (!begin("write", path_of(fd, path), true))
        return errno == ENOSPC && size > 1 ? REAL(pwrite)(fd, data, size / 2, offset) : -1;
    ssize_t n = REAL(pwrite)(fd, data, size, offset);
    done();
    return n;
}

int ftruncate(int fd, off_t size)
{
    char path[256];
    STEP("truncate", path_of(fd, path), false, REAL(ftruncate)(fd, size));
}

int fsync(int fd)
{
    char path[256];
    for (unsigned ms = 0; ms < slow_ms(); ms += SLICE_MS)
        usleep(SLICE_MS * 1000);
    STEP("fsync", path_of(fd, path), false, REAL(fsync)(fd));
}

int mkdir(const char *path, mode_t mode)
{
    if (is_there(AT_FDCWD, path))
        return REAL(mkdir)(path, mode);
    STEP("mkdir", path, true, REAL(mkdir)(path, mode));
}

int mkdirat(int dir_fd, const char *path, mode_t mode)
{
    if (is_there(dir_fd, path))
        return REAL(mkdirat)(dir_fd, path, mode);
    STEP("mkdir", path, true, REAL(mkdirat)(dir_fd, path, mode));
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    if (!begin("link", to, true))
        return -1;
    if (faults.nolinks) {
        errno = EPERM;
        return -1;
    }
    int result = REAL(linkat)(from_fd, from, to_fd, to, flags), saved = errno;
    done();
    errno = saved;
    return result;
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    STEP("rename", to, false, REAL(renameat)(from_fd, from, to_fd, to));
}

int unlink(const char *path)
{
    if (!is_there(AT_FDCWD, path))
        return REAL(unlink)(path);
    STEP("unlink", path, false, REAL(unlink)(path));
}

int unlinkat(int dir_fd, const char *path, int flags)
{
    if (!is_there(dir_fd, path))
        return REAL(unlinkat)(dir_fd, path, flags);
    STEP("unlink", path, false, REAL(unlinkat)(dir_fd, path, flags));
}

int bind(int fd, const struct sockaddr *address, socklen_t size)
{
    const char *path =
        address->sa_family == AF_UNIX ? ((const struct sockaddr_un *)address)->sun_path : "port";
    STEP("bind", path, false, REAL(bind)(fd, address, size));
}

int listen(int fd, int backlog)
{
    STEP("listen", "", false, REAL(listen)(fd, backlog));
}

/* To QEMU's monitor; what goes to clients leaves nothing behind. */
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct sockaddr_un peer = {0};
    socklen_t peer_size = sizeof peer - 1;
    bool monitor = faults.active && getpeername(fd, (struct sockaddr *)&peer, &peer_size) == 0 &&
                   peer.sun_family == AF_UNIX && strstr(peer.sun_path, ".qmp");
    if (!monitor)
        return REAL(sendmsg)(fd, message, flags);
    STEP("send", peer.sun_path, false, REAL(sendmsg)(fd, message, flags));
}

/* Signals by pidfd have no function in this C library. */
long syscall(long number, ...)
{
    long a[6];
    va_list args;
    va_start(args, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(args, long);
    va_end(args);
    if (number != SYS_pidfd_send_signal)
        return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    STEP("signal", a[1] == SIGKILL ? "KILL" : "other", false,
         REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]));
}

pid_t fork(void)
{
    if (!begin("fork", "", false))
        return -1;
    faults.forks++;
    pid_t pid = REAL(fork)();
    if (pid == 0) {
        faults.active = false;
        faults.child = true;
    } else {
        done();
    }
    return pid;
}

/* A child that borrows its parent's memory: the calling thread stands still until the child is its program. */
int clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
    if (!begin("fork", "", false))
        return -1;
    bool active = faults.active;
    faults.forks++;
    faults.active = false;
    faults.child = true;
    int pid = REAL(clone)(fn, stack, flags, arg);
    faults.active = active;
    faults.child = false;
    done();
    return pid;
}

int execve(const char *path, char *const argv[], char *const environment[])
{
    pid_t parent = getppid();
    if (faults.child && faults.exec && faults.forks == faults.first) {
        kill(parent, SIGKILL);
        while (getppid() == parent)
            usleep(1000);
        sleep(1);
    }
    return REAL(execve)(path, argv, environment);
}
