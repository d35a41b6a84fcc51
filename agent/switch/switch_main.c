/* SPDX-License-Identifier: MIT */
#include "agent/switch/switch_main.h"

#include <errno.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/lines.h"
#include "agent/base/sandbox.h"
#include "agent/switch/control.h"

#define ALONE_MS 60000 /* how long it waits for an agent or a member */
#define LOOK_MS  5000

struct network_switch {
    struct fabric *fabric;
    int client_fd; /* the agent's connection; negative = none */
    struct pi_lines lines;
    int passed_fd;      /* came with what the agent wrote; negative = none */
    uid_t user;         /* only who runs it may tell it anything */
    uint64_t needed_ms; /* when an agent or a member was last seen */
};

/* Guests write the frames, and are hostile: the process that handles them may open no file, start no program and make no
 * sockets but unix datagram sockets. (With a stream socket it could reach the user's systemd, by D-Bus.) */
static int enter_switch_sandbox(struct pi_error *err)
{
    static const int needed[] = {
        SCMP_SYS(poll),         SCMP_SYS(ppoll),      SCMP_SYS(read),        SCMP_SYS(write),
        SCMP_SYS(recvfrom),     SCMP_SYS(recvmsg),    SCMP_SYS(recvmmsg),    SCMP_SYS(sendto),
        SCMP_SYS(sendmsg),      SCMP_SYS(sendmmsg),   SCMP_SYS(bind),        SCMP_SYS(connect),
        SCMP_SYS(accept4),      SCMP_SYS(getsockopt), SCMP_SYS(setsockopt),  SCMP_SYS(close),
        SCMP_SYS(unlink),       SCMP_SYS(unlinkat),   SCMP_SYS(epoll_wait),  SCMP_SYS(epoll_pwait),
        SCMP_SYS(epoll_ctl),    SCMP_SYS(brk),        SCMP_SYS(mmap),        SCMP_SYS(munmap),
        SCMP_SYS(mremap),       SCMP_SYS(madvise),    SCMP_SYS(futex),       SCMP_SYS(clock_gettime),
        SCMP_SYS(rt_sigreturn), SCMP_SYS(exit_group), SCMP_SYS(sched_yield),
    };
    return pi_sandbox_enter(needed, PI_ARRAY_SIZE(needed), true, err);
}

static void hang_up(struct network_switch *s)
{
    pi_close_p(&s->client_fd);
    s->client_fd = -1;
    pi_close_p(&s->passed_fd);
    s->passed_fd = -1;
    pi_lines_done(&s->lines);
    s->lines = (struct pi_lines){.partial.max = CONTROL_LINE_MAX};
}

/* The newest agent counts: an earlier one may be gone without a word. */
static void take_client(struct network_switch *s)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    pi_auto_close int fd = accept4(STDIN_FILENO, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.uid != s->user)
        return;
    hang_up(s);
    s->client_fd = pi_steal_fd(&fd);
}

static int answer_line(char *line, size_t size, void *user)
{
    struct network_switch *s = user;
    json_auto_t *answer = control_answer(s->fabric, line, size, &s->passed_fd);
    pi_auto_free char *text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
    pi_auto_buf struct pi_buf out = {0};
    if (!text || pi_buf_printf(&out, "%s\n", text) < 0)
        return -ENOMEM;
    /* An answer is small beside what a socket holds; an agent that does not read them is left. */
    return send(s->client_fd, out.data, out.size, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)out.size ? 0
                                                                                                    : -EPIPE;
}

/* As recv(). A descriptor that came, too, is kept for the request; there is room for one, and the kernel closes others. */
static ssize_t receive_bytes(struct network_switch *s, char *bytes, size_t size)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {bytes, size};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_LEN(sizeof(int))};
    ssize_t n = recvmsg(s->client_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    const struct cmsghdr *passed = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (passed && passed->cmsg_type == SCM_RIGHTS) {
        pi_close_p(&s->passed_fd);
        memcpy(&s->passed_fd, CMSG_DATA(passed), sizeof s->passed_fd);
    }
    return n;
}

static void hear_client(struct network_switch *s)
{
    char bytes[65536];
    ssize_t n = receive_bytes(s, bytes, sizeof bytes);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || pi_lines_feed(&s->lines, bytes, (size_t)n, answer_line, s) < 0)
        hang_up(s);
}

/* Looks for members only after a quiet while: each look costs as many system calls as there are ports. */
static bool is_needed(struct network_switch *s, uint64_t now_ms)
{
    if (now_ms - s->needed_ms >= ALONE_MS && (s->client_fd >= 0 || fabric_is_used(s->fabric)))
        s->needed_ms = now_ms;
    return now_ms - s->needed_ms < ALONE_MS;
}

static void carry(struct network_switch *s)
{
    uint64_t now_ms = pi_monotonic_ms();
    for (s->needed_ms = now_ms; is_needed(s, now_ms); now_ms = pi_monotonic_ms()) {
        struct pollfd polled[] = {
            {fabric_fd(s->fabric), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}, {s->client_fd, POLLIN, 0}};
        if (poll(polled, PI_ARRAY_SIZE(polled), LOOK_MS) <= 0)
            continue;
        if (polled[0].revents)
            fabric_run(s->fabric, pi_monotonic_ms());
        if (polled[2].revents)
            hear_client(s);
        if (polled[1].revents)
            take_client(s);
    }
}

static int run_switch(struct pi_error *err)
{
    struct network_switch s = {
        .client_fd = -1, .passed_fd = -1, .user = getuid(), .lines.partial.max = CONTROL_LINE_MAX};
    signal(SIGPIPE, SIG_IGN);
    umask(077); /* the sockets are the user's alone */
    if (!(s.fabric = fabric_new(err)))
        return -ENOMEM;
    int r = enter_switch_sandbox(err);
    if (r == 0)
        carry(&s);
    hang_up(&s);
    fabric_free(s.fabric);
    return r;
}

int switch_main(int argc, char **argv)
{
    struct pi_error err = {0};
    int listening = 0;
    socklen_t size = sizeof listening;
    (void)argv;
    if (argc != 1 || getsockopt(STDIN_FILENO, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 || !listening)
        pi_refuse(&err, PI_USAGE,
                  "piagent switch is the agent's own: its standard input is a listening socket");
    else
        run_switch(&err);
    if (err.kind)
        fprintf(stderr, "piagent: %s\n", err.text);
    return (int)err.kind;
}
