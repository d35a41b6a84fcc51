/* SPDX-License-Identifier: MIT */
#include "agent/cli/reach.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/fs.h"
#include "agent/base/proc.h"
#include "agent/cli/follow.h"
#include "agent/cli/wait.h"

#define SSHD_MS  60000u /* for an SSH server that comes up after cloud-init, or generates keys */
#define RETRY_MS 200u
#define TELL_MS  4000u /* after so long a wait for the SSH server is told */

#define SILENT                                                       \
    "%s's SSH server does not answer (127.0.0.1 port %" PRIu64 "): " \
    "piagent console %s shows how the guest is"

static int check_state(const char *name, const char *state, struct pi_error *err)
{
    if (!strcmp(state, "paused") || !strcmp(state, "suspended"))
        return pi_refuse(err, PI_CONFLICT, "%s is %s: piagent resume %s", name, state, name);
    if (cli_state_is_over(state) || !strcmp(state, "stopping"))
        return pi_refuse(err, PI_CONFLICT, "%s is %s: start it with piagent start %s", name, state, name);
    return 0;
}

/* Whether the guest's SSH server can be expected to answer with the key that was put there. */
static bool is_up(const struct api_instance *instance)
{
    const char *said = instance->cloud_init;
    return !strcmp(instance->state, "ready") ||
           (said && (!strcmp(said, "done") || !strcmp(said, "degraded") || !strcmp(said, "failed") ||
                     !strcmp(said, "silent")));
}

/* Who is waited for, and when a person who waits too is told; NULL = nobody is, any more. */
struct patience {
    const char *name;
    uint64_t at_ms;
};

static void tell_who_waits(struct patience *patience, uint64_t now)
{
    if (!patience->name || now < patience->at_ms)
        return;
    fprintf(stderr, "%s: waiting for its SSH server\n", patience->name);
    patience->name = NULL;
}

static int poll_patiently(struct pollfd *fd, uint64_t wait_ms, struct patience *patience)
{
    uint64_t now = pi_monotonic_ms(), first = wait_ms;
    tell_who_waits(patience, now);
    if (patience->name && patience->at_ms - now < wait_ms)
        first = patience->at_ms - now;
    int r = poll(fd, 1, (int)first);
    if (r != 0 || first == wait_ms)
        return r;
    tell_who_waits(patience, patience->at_ms);
    return poll(fd, 1, (int)(wait_ms - first));
}

/* A connection on which the server has said who it is, or -EAGAIN: QEMU takes connections before the guest
 * does. */
static int connect_once(uint16_t port, uint64_t wait_ms, struct patience *patience)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char peeked;
    pi_auto_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        poll_patiently(&readable, wait_ms, patience) <= 0 || recv(fd, &peeked, 1, MSG_PEEK) <= 0)
        return -EAGAIN;
    return pi_steal_fd(&fd);
}

/* The view may be up before the instance is: another boot follows when cloud-init has announced a reboot. A
 * start that was waited for may have changed the port, so *instance is read again. */
static int await_up(struct cli_agent *agent, struct api_instance *instance, struct pi_error *err)
{
    pi_auto_follow struct cli_follow follow = {0};
    int r = cli_follow_open(&follow, agent, instance, err);
    while (r == 0) {
        if (cli_view_is_up(&follow.view)) {
            cli_instance_done(instance);
            *instance = (struct api_instance){0};
            if ((r = cli_get_instance(agent, follow.view.name, instance, err)) < 0 || is_up(instance))
                break;
        }
        if ((r = check_state(follow.view.name, follow.view.state, err)) == 0)
            r = cli_follow_step(&follow, NULL, 0, err);
        if (r == 0 && follow.signal)
            r = pi_refuse(err, PI_FAILED, "interrupted; %s goes on booting", follow.view.name);
        if (r == 0 && follow.view.trouble[0] && follow.view.seq >= follow.known)
            r = cli_tell_trouble(&follow, false, err);
    }
    return r;
}

int cli_reach(struct cli_agent *agent, const char *name, struct api_instance *ret, struct pi_error *err)
{
    pi_auto_instance struct api_instance now = {0};
    int r = cli_get_instance(agent, name, &now, err);
    if (r == 0)
        r = check_state(name, now.state, err);
    if (r == 0 && !is_up(&now))
        r = await_up(agent, &now, err);
    if (r == 0 && (!now.folder || !now.user || !now.ssh_port))
        r = pi_refuse(err, PI_AGENT, "the agent did not say how to reach %s", name);
    if (r < 0)
        return r;
    *ret = now;
    now = (struct api_instance){0};
    return 0;
}

void cli_reach_doubt(const struct api_instance *instance)
{
    if (instance->cloud_init && !strcmp(instance->cloud_init, "silent"))
        fprintf(stderr, "%s: %s\n", instance->name,
                instance->reason ? instance->reason : "cloud-init does not report");
}

int cli_reach_program(const char *name, char **ret, struct pi_error *err)
{
    if (pi_program_find(name, ret, err) == 0)
        return 0;
    return pi_refuse(err, PI_HOST,
                     "there is no %s: install openssh-client (Debian) or openssh-clients (Fedora)", name);
}

static void await_end(int pidfd)
{
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    while (poll(&ended, 1, -1) < 0 && errno == EINTR)
        ;
}

/* ssh silences the ProxyCommand of a connection that outlives it, so this process says that it waits for the
 * SSH server. */
static void await_login(int pidfd, const char *name, struct cli_ssh_share *share)
{
    struct pollfd fds[] = {{.fd = pidfd, .events = POLLIN}, {.fd = share->watch_fd, .events = POLLIN}};
    struct patience patience = {.name = name, .at_ms = pi_monotonic_ms() + TELL_MS};
    while (!cli_ssh_share_look(share) && !fds[0].revents) {
        uint64_t now = pi_monotonic_ms();
        tell_who_waits(&patience, now);
        poll(fds, 2, patience.name ? (int)(patience.at_ms - now) : -1);
    }
}

int cli_reach_run(const char *const *argv, const char *name, struct cli_ssh_share *share,
                  struct pi_error *err)
{
    char text[64];
    pid_t pid;
    int code = 0;
    pi_auto_close int pidfd = -1;
    const struct pi_spawn spawn = {
        .argv = argv, .fds = (const int[]){0, 1, 2}, .fd_count = 3, .orphan_signal = SIGTERM};
    int r = pi_spawn(&spawn, &pid, &pidfd, err);
    if (r < 0)
        return r;
    /* The terminal sends them to both: what comes of them is the program's to say. */
    signal(SIGINT, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    if (share->path)
        await_login(pidfd, name, share);
    await_end(pidfd);
    r = pi_reap(pidfd, &code, text, sizeof text);
    return r < 0 ? pi_fail(err, -r, "%s", argv[0]) : code;
}

/* The second and third word of what ssh-keyscan prints for NAME: type and key. */
static bool scan(const struct api_instance *instance, struct pi_buf *ret)
{
    pi_auto_free char *program = NULL;
    char port[16];
    int code = 0;
    snprintf(port, sizeof port, "%" PRIu64, instance->ssh_port);
    if (pi_program_find("ssh-keyscan", &program, NULL) < 0)
        return false;
    const char *const argv[] = {program, "-T5", "-t", "ed25519", "-p", port, "127.0.0.1", NULL};
    return pi_run(argv, ret, &code, NULL) == 0 && ret->size;
}

void cli_reach_explain(const struct api_instance *instance, const struct cli_ssh_share *share)
{
    pi_auto_buf struct pi_buf scanned = {0}, known = {0};
    char path[PATH_MAX];
    if (share->logged_in)
        return;
    snprintf(path, sizeof path, "%s/known_hosts", instance->folder);
    char *key = scan(instance, &scanned) ? strstr(scanned.data, "ssh-ed25519 ") : NULL;
    if (!key && share->path)
        fprintf(stderr, "piagent: " SILENT "\n", instance->name, instance->ssh_port, instance->name);
    if (!key)
        return;
    key[strcspn(key, "\r\n#")] = '\0';
    if (pi_file_read(AT_FDCWD, path, 64 << 10, &known, NULL) == 0 && known.data && strstr(known.data, key))
        return;
    fprintf(
        stderr,
        "piagent: %s answers with another host key than the one in %s: its keys were changed from within, or "
        "it is not %s that answers; look at it with piagent console %s, and only if the change is yours, put "
        "the key of /etc/ssh/ssh_host_ed25519_key.pub there into that file\n",
        instance->name, path, instance->name, instance->name);
}

static void copy(int from, int to)
{
    char chunk[65536];
    for (;;) {
        ssize_t n = read(from, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || pi_write_all(to, chunk, (size_t)n) < 0)
            return;
    }
}

/* Two processes, one a direction: neither can keep the other waiting. In a session of their own: Ctrl-C in
 * the terminal whose command opened the connection must not end it for the others that share it. */
static int relay(int fd, struct pi_error *err)
{
    setsid();
    pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        return pi_fail(err, errno, "cannot relay");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            copy(STDIN_FILENO, fd);
        shutdown(fd, SHUT_WR);
        _exit(0);
    }
    copy(fd, STDOUT_FILENO);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return 0;
}

int cli_reach_relay(const struct api_instance *instance, struct pi_error *err)
{
    int fd;
    uint64_t now = pi_monotonic_ms(), end = now + SSHD_MS;
    struct patience patience = {.name = instance->name, .at_ms = now + TELL_MS};
    for (; (fd = connect_once((uint16_t)instance->ssh_port, now < end ? end - now : 0, &patience)) == -EAGAIN;
         usleep(RETRY_MS * 1000), now = pi_monotonic_ms())
        if (now >= end)
            return pi_refuse(err, PI_TIMEOUT, SILENT, instance->name, instance->ssh_port, instance->name);
    pi_auto_close int server = fd;
    return fd < 0 ? pi_fail(err, -fd, "cannot connect to %s", instance->name) : relay(server, err);
}
