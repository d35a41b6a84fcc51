/* SPDX-License-Identifier: MIT */
#include "agent/cli/client/ssh_reach.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
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
#include "agent/cli/client/instance_follow.h"
#include "agent/cli/client/outcome.h"
#include "agent/cli/client/remote_key.h"

#define SSHD_MS  60000u /* for an SSH server that comes up after cloud-init, or generates keys */
#define RETRY_MS 200u
#define TELL_MS  4000u /* after so long the command says that it waits for the SSH server, or for the login */
#define SILENT                                                       \
    "%s's SSH server does not answer (127.0.0.1 port %" PRIu64 "): " \
    "piagent console %s shows how the guest is"

static int check_state(const char *name, bool template, enum vm_state state, struct pi_error *err)
{
    if (vm_state_stands_still(state))
        return pi_refuse(err, PI_CONFLICT, "%s is %s: piagent resume %s", name, vm_state_names[state], name);
    if (state == VM_STOPPING)
        return pi_refuse(
            err, PI_CONFLICT,
            "%s is stopping: wait for its end with: piagent wait --for stopped %s, then start it "
            "with: piagent start %s",
            name, name, name);
    if (state == VM_SAVED)
        return cli_refuse_saved(name, template, err);
    if (state == VM_SAVING)
        return pi_refuse(err, PI_CONFLICT, "%s is being saved: then piagent start %s lets it go on", name,
                         name);
    if (cli_state_is_over(state))
        return pi_refuse(err, PI_CONFLICT, "%s is %s: start it with piagent start %s", name,
                         vm_state_names[state], name);
    return 0;
}

/* A wait for a guest and its SSH server. */
struct reach {
    struct cli_follow follow;
    struct api_instance instance; /* as it was when the guest was last found to be up */
    uint64_t up_ms;               /* monotonic: when the guest was found to be up; 0 = it is not up */
    uint64_t retry_ms;            /* when to connect again */
    bool told;                    /* the command has said that it waits for the SSH server */
    int fd;                       /* the connection, on which nothing has come yet; or negative */
};

static void disconnect(struct reach *reach)
{
    pi_close_p(&reach->fd);
    reach->fd = -1;
}

static void reach_done(struct reach *reach)
{
    disconnect(reach);
    cli_follow_close(&reach->follow);
    cli_instance_done(&reach->instance);
}

/* The view is up, or reachable. So is the guest, perhaps long after the wait began, and at another port. Or another boot
 * follows, because cloud-init has announced a reboot; or the kernel panicked after the guest was ready. */
static int begin_server(struct reach *reach, uint64_t now, struct pi_error *err)
{
    struct cli_follow *follow = &reach->follow;
    enum cli_up up = CLI_UP_READY;
    cli_instance_done(&reach->instance);
    reach->instance = (struct api_instance){0};
    int r = cli_view_is_up(&follow->view) ? cli_follow_up(follow, &up, &reach->instance, err)
                                          : cli_follow_look(follow, &reach->instance, err);
    if (r == 0 && up == CLI_NOT_UP && follow->view.trouble[0])
        r = cli_tell_trouble(follow, false, err);
    if (r < 0 || up == CLI_NOT_UP)
        return r;
    reach->up_ms = now;
    reach->told = false;
    cli_screen_clear(&follow->screen);
    follow->screen.hidden = true;
    return 0;
}

static int await_server(struct reach *reach, uint64_t now, struct pi_error *err)
{
    const char *name = reach->instance.name;
    if (now - reach->up_ms >= SSHD_MS)
        return pi_refuse(err, PI_TIMEOUT, SILENT, name, reach->instance.spec.ssh_port, name);
    if (now - reach->up_ms >= TELL_MS && !reach->told) {
        fprintf(stderr, "%s: waiting for its SSH server\n", name);
        reach->told = true;
    }
    if (reach->fd < 0 && now >= reach->retry_ms) {
        /* QEMU takes connections before the guest does: a connection says nothing yet. */
        const struct cli_host *host = &reach->follow.agent->host;
        const uint16_t port = (uint16_t)reach->instance.spec.ssh_port;
        reach->fd = host->url ? cli_host_connect(host, port) : pi_loopback_connect(port);
        reach->retry_ms = now + RETRY_MS;
    }
    return 0;
}

/* True if the server has sent its banner. */
static bool has_answered(struct reach *reach)
{
    char peeked;
    ssize_t n = recv(reach->fd, &peeked, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n > 0)
        return fcntl(reach->fd, F_SETFL, fcntl(reach->fd, F_GETFL) & ~O_NONBLOCK) == 0;
    if (n == 0 || errno != EAGAIN)
        disconnect(reach);
    return false;
}

/* The guest boots, or boots again: the server that the connection led to is gone. */
static int await_boot(struct reach *reach, struct pi_error *err)
{
    disconnect(reach);
    reach->up_ms = 0;
    reach->follow.screen.hidden = false;
    return reach->follow.view.trouble[0] ? cli_tell_trouble(&reach->follow, false, err) : 0;
}

static int interrupted(struct cli_follow *follow)
{
    follow->screen.hidden = false;
    cli_screen_line(&follow->screen, "%s: interrupted; it goes on", follow->view.name);
    return CLI_EXIT_SIGNAL + follow->signal;
}

/* Takes the next step towards the server. Positive: the wait is over. */
static int act(struct reach *reach, bool connects, struct pi_error *err)
{
    const struct cli_view *view = &reach->follow.view;
    uint64_t now = pi_monotonic_ms();
    if (view->seq < reach->follow.known) /* earlier events are still being read */
        return 0;
    int r = view->start_due_ms ? 0 : check_state(view->name, view->template, view->state, err);
    if (r < 0)
        return r;
    if (!cli_view_is_up(view) && !view->reachable)
        return await_boot(reach, err);
    if (!reach->up_ms && ((r = begin_server(reach, now, err)) < 0 || !reach->up_ms))
        return r;
    return connects ? await_server(reach, now, err) : 1;
}

static int reach_loop(struct reach *reach, bool connects, struct pi_error *err)
{
    struct cli_follow *follow = &reach->follow;
    for (;;) {
        int r = act(reach, connects, err);
        if (r != 0)
            return r < 0 ? r : 0;
        struct pollfd server = {.fd = reach->fd, .events = POLLIN};
        if ((r = cli_follow_step(follow, &server, reach->fd >= 0, err)) < 0)
            return r;
        if (follow->signal)
            return interrupted(follow);
        if (server.revents && has_answered(reach))
            return 0;
    }
}

static int refuse_unwhole(const struct api_instance *instance, struct pi_error *err)
{
    return pi_refuse(err, PI_AGENT, "the agent did not say how to reach %s", instance->name);
}

static int check_is_whole(const struct api_instance *instance, struct pi_error *err)
{
    return instance->folder && instance->spec.user && instance->spec.ssh_port ? 0
                                                                              : refuse_unwhole(instance, err);
}

static int reach(struct cli_agent *agent, struct api_instance *instance, int *ret_fd, struct pi_error *err)
{
    pi_auto(reach_done) struct reach reach = {.fd = -1};
    int r = cli_follow_open(&reach.follow, agent, instance, err);
    reach.follow.screen.hidden = cli_instance_up(instance) != CLI_NOT_UP; /* there is no boot to show */
    if (r == 0)
        r = reach_loop(&reach, ret_fd != NULL, err);
    if (r == 0)
        r = check_is_whole(&reach.instance, err);
    if (r != 0)
        return r;
    struct api_instance before = *instance;
    *instance = reach.instance;
    reach.instance = before;
    if (agent->host.url) { /* the folder stays that of the key's copy */
        reach.instance.folder = instance->folder;
        instance->folder = before.folder;
    }
    if (ret_fd)
        *ret_fd = pi_steal_fd(&reach.fd);
    return 0;
}

int cli_reach_check(struct cli_agent *agent, const char *name, struct api_instance *ret, struct pi_error *err)
{
    pi_auto_instance struct api_instance instance = {0};
    int r = cli_get_instance(agent, name, &instance, err);
    if (r == 0 && !cli_instance_may_start(&instance, pi_realtime_ms()))
        r = check_state(name, instance.spec.template, instance.state, err);
    if (r < 0)
        return r;
    *ret = instance;
    instance = (struct api_instance){0};
    return 0;
}

int cli_reach_key(struct cli_agent *agent, struct api_instance *instance, struct pi_error *err)
{
    if (!agent->host.url)
        return 0;
    return instance->folder ? cli_key_fetch(&agent->host, instance, err) : refuse_unwhole(instance, err);
}

int cli_reach(struct cli_agent *agent, struct api_instance *instance, struct pi_error *err)
{
    return cli_instance_up(instance) != CLI_NOT_UP ? check_is_whole(instance, err)
                                                   : reach(agent, instance, NULL, err);
}

int cli_reach_connect(struct cli_agent *agent, struct api_instance *instance, int *ret_fd,
                      struct pi_error *err)
{
    return reach(agent, instance, ret_fd, err);
}

void cli_reach_doubt(const struct api_instance *instance)
{
    if (instance->cloud_init == API_CLOUD_INIT_SILENT)
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

/* Waits for the program's end. Meanwhile notes the login, and gives the ProxyCommand its connection. A connection that is
 * not shared does not show its login. */
static void await_end(const char *name, int pidfd, struct cli_ssh_share *share, struct cli_ssh_pass *pass)
{
    int patience_ms = share->path && !share->logged_in ? (int)TELL_MS : -1;
    for (bool ended = false; !ended;) {
        struct pollfd fds[] = {{.fd = pidfd, .events = POLLIN},
                               {.fd = share->watch_fd, .events = POLLIN},
                               {.fd = pass->listen_fd, .events = POLLIN}};
        int ready = poll(fds, PI_ARRAY_SIZE(fds), patience_ms);
        ended = ready > 0 && fds[0].revents;
        if (cli_ssh_share_look(share)) {
            patience_ms = -1;
        } else if (ready == 0) {
            fprintf(stderr, "%s: its SSH server has answered; waiting for the login\n", name);
            patience_ms = -1;
        }
        if (fds[2].revents)
            cli_ssh_pass_serve(pass);
    }
}

int cli_reach_run(const char *name, const char *const *argv, struct cli_ssh_share *share,
                  struct cli_ssh_pass *pass, struct pi_error *err)
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
    /* The terminal sends these signals to both processes: the program decides what to do. */
    signal(SIGINT, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    await_end(name, pidfd, share, pass);
    r = pi_reap(pidfd, &code, text, sizeof text);
    return r < 0 ? pi_fail(err, -r, "%s", argv[0]) : code;
}

/* Adds the line that ssh-keyscan prints: host, type and key. */
static bool scan(const struct api_instance *instance, struct pi_buf *ret)
{
    pi_auto_free char *program = NULL;
    char port[16];
    int code = 0;
    snprintf(port, sizeof port, "%" PRIu64, instance->spec.ssh_port);
    if (pi_program_find("ssh-keyscan", &program, NULL) < 0)
        return false;
    const char *const argv[] = {program, "-T5", "-t", "ed25519", "-p", port, "127.0.0.1", NULL};
    return pi_run(argv, ret, &code, NULL) == 0 && ret->size;
}

void cli_reach_explain(const struct cli_agent *agent, const struct api_instance *instance,
                       const struct cli_ssh_share *share)
{
    pi_auto_buf struct pi_buf scanned = {0}, known = {0};
    char path[PATH_MAX];
    if (share->logged_in || agent->host.url)
        return;
    snprintf(path, sizeof path, "%s/known_hosts", instance->folder);
    char *key = scan(instance, &scanned) ? strstr(scanned.data, "ssh-ed25519 ") : NULL;
    if (!key && share->path)
        fprintf(stderr, "piagent: " SILENT "\n", instance->name, instance->spec.ssh_port, instance->name);
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

static void pass_on_bytes(int from, int to)
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

/* Two processes, one for each direction, so that neither waits for the other. They have a session of their
 * own: Ctrl-C in the terminal of the command that opened the connection must not end it for the others that
 * share it. */
int cli_reach_relay(int fd, struct pi_error *err)
{
    setsid();
    pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        return pi_fail(err, errno, "cannot relay");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            pass_on_bytes(STDIN_FILENO, fd);
        shutdown(fd, SHUT_WR);
        _exit(0);
    }
    pass_on_bytes(fd, STDOUT_FILENO);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return 0;
}
