/* SPDX-License-Identifier: MIT */
/*
 * For valgrind, which knows no pidfds before 3.21: the two system calls for them are done by the test, asked
 * over the unix socket that PIAGENT_PIDFD_BROKER names. Preloaded; what the program starts does not get it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static char broker[sizeof(((struct sockaddr_un *)0)->sun_path)];

__attribute__((constructor)) static void prepare(void)
{
    if (strcmp(program_invocation_short_name, "piagent") != 0)
        return; /* it is still valgrind's launcher */
    snprintf(broker, sizeof broker, "%s", getenv("PIAGENT_PIDFD_BROKER"));
    unsetenv("LD_PRELOAD");
}

/* Sends two numbers, and fd unless it is negative. Receives one number, and a descriptor in *ret_fd. */
static int ask(const int numbers[2], int fd, int *ret_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    int answer = EIO, size = fd >= 0 ? sizeof control : 0;
    struct iovec out = {(void *)numbers, 2 * sizeof(int)}, in = {&answer, sizeof answer};
    struct msghdr question = {
        .msg_iov = &out, .msg_iovlen = 1, .msg_control = size ? &control : NULL, .msg_controllen = size};
    struct msghdr reply = {
        .msg_iov = &in, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    memcpy(address.sun_path, broker, sizeof broker);
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(s, (struct sockaddr *)&address, sizeof address) == 0 && sendmsg(s, &question, 0) > 0 &&
        recvmsg(s, &reply, MSG_CMSG_CLOEXEC) > 0 && reply.msg_controllen)
        memcpy(ret_fd, CMSG_DATA(&control.header), sizeof *ret_fd);
    close(s);
    return answer;
}

long syscall(long number, ...)
{
    long a[6];
    int fd = -1, r;
    va_list args;
    va_start(args, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(args, long);
    va_end(args);
    if (number == SYS_pidfd_open)
        r = ask((int[]){0, (int)a[0]}, -1, &fd);
    else if (number == SYS_pidfd_send_signal)
        r = ask((int[]){1, (int)a[1]}, (int)a[0], &fd);
    else
        return ((long (*)(long, ...))dlsym(RTLD_NEXT, "syscall"))(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    errno = r;
    return r ? -1 : number == SYS_pidfd_open ? fd : 0;
}
