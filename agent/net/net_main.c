/* SPDX-License-Identifier: MIT */
/* `piagent isolated`: makes two processes of one, the QEMU of an isolated instance and its network. */
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/sandbox.h"
#include "agent/net/net.h"

/* libslirp reads what a hostile guest wrote, outside QEMU's sandbox. So it gets a sandbox of its own: it may
 * pass bytes on, but open no file, start no program and touch no other process. */
static int enter_sandbox(struct pi_error *err)
{
    static const int needed[] = {
        SCMP_SYS(poll),          SCMP_SYS(ppoll),        SCMP_SYS(read),         SCMP_SYS(readv),
        SCMP_SYS(recvfrom),      SCMP_SYS(recvmsg),      SCMP_SYS(write),        SCMP_SYS(writev),
        SCMP_SYS(sendto),        SCMP_SYS(sendmsg),      SCMP_SYS(socket),       SCMP_SYS(connect),
        SCMP_SYS(accept),        SCMP_SYS(accept4),      SCMP_SYS(getsockname),  SCMP_SYS(getpeername),
        SCMP_SYS(getsockopt),    SCMP_SYS(setsockopt),   SCMP_SYS(shutdown),     SCMP_SYS(close),
        SCMP_SYS(fcntl),         SCMP_SYS(ioctl),        SCMP_SYS(brk),          SCMP_SYS(mmap),
        SCMP_SYS(munmap),        SCMP_SYS(mremap),       SCMP_SYS(madvise),      SCMP_SYS(futex),
        SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday), SCMP_SYS(rt_sigreturn), SCMP_SYS(exit_group),
    };
    return pi_sandbox_enter(needed, PI_ARRAY_SIZE(needed), false, err);
}

/* Closes QEMU's descriptors in the network's process, which keeps those that it opened: from first_fd up. */
static int drop_descriptors(int first_fd, int qemu_fd, struct pi_error *err)
{
    const struct rlimit files = {NET_DESCRIPTORS_MAX, NET_DESCRIPTORS_MAX};
    pi_auto_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int r = null < 0 ? -1 : 0;
    for (int i = STDIN_FILENO; r == 0 && i <= STDERR_FILENO; i++)
        r = dup2(null, i) < 0 ? -1 : 0;
    if (r == 0 && first_fd > STDERR_FILENO + 1)
        r = close_range(STDERR_FILENO + 1, (unsigned)first_fd - 1, 0);
    if (r < 0 || close(qemu_fd) < 0 || chdir("/") < 0 || setrlimit(RLIMIT_NOFILE, &files) < 0)
        return pi_fail(err, errno, "cannot set up the network");
    signal(SIGPIPE, SIG_IGN);
    return 0;
}

/* QEMU keeps the descriptors that this process was started with: all below first_fd. */
static int become_qemu(int first_fd, int fd, char **command, struct pi_error *err)
{
    /* dup2() keeps the flag close-on-exec if fd is NET_FD already. */
    if (close_range((unsigned)first_fd, ~0U, CLOSE_RANGE_CLOEXEC) < 0 || dup2(fd, NET_FD) < 0 ||
        fcntl(NET_FD, F_SETFD, 0) < 0)
        return pi_fail(err, errno, "cannot set up the network");
    execv(command[0], command);
    return pi_fail(err, errno, "cannot start %s", command[0]);
}

static int run_isolated(int argc, char **argv, struct pi_error *err)
{
    struct net_stack *stack;
    int end = 2, ends[2];
    while (end < argc && strcmp(argv[end], "--") != 0)
        end++;
    if (end + 1 >= argc || argv[1][0] != '/')
        return pi_refuse(err, PI_USAGE,
                         "the agent alone starts piagent isolated SOCKET [FORWARD...] -- QEMU...");
    argv[end] = NULL;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return pi_fail(err, errno, "cannot set up the network");
    int r = net_stack_new(ends[0], argv[1], (const char *const *)(argv + 2), &stack, err);
    if (r < 0)
        return r;
    pid_t pid = fork();
    if (pid < 0)
        return pi_fail(err, errno, "cannot set up the network");
    if (pid > 0)
        return become_qemu(ends[0], ends[1], argv + end + 1, err);
    if ((r = drop_descriptors(ends[0], ends[1], err)) == 0 && (r = enter_sandbox(err)) == 0)
        net_stack_run(stack);
    _exit(r < 0 ? PI_FAILED : PI_OK);
}

int net_main(int argc, char **argv)
{
    struct pi_error err = {0};
    run_isolated(argc, argv, &err);
    fprintf(stderr, "piagent: %s\n", err.text);
    return (int)err.kind;
}
