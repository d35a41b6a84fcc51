/* SPDX-License-Identifier: MIT */
#include "agent/cli/client/remote_host.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/fs.h"
#include "agent/base/host_url.h"
#include "agent/base/proc.h"
#include "agent/base/text.h"
#include "agent/cli/client/ssh_options.h"
#include "agent/cli/client/ssh_reach.h"
#include "agent/image/digest.h"
#include "agent/image/ref.h"

#define CONTROL    ".ctl"
#define SOCKET     ".sock"
#define LOCK       ".lock"
#define NAME_CHARS 16 /* hexadecimal digits of the URL's SHA-256, which name its files */
#define SUFFIX     17 /* ssh binds its control socket under a temporary name: ".", then 16 characters */

#define PATIENCE_MS 5000u  /* after so long a command says that it waits for another one */
#define COMMAND_MS  90000u /* for a command there; an agent's start is the slowest (connect.c) */

#define SSH_FAILED 255 /* ssh(1), EXIT STATUS */
#define NOT_FOUND  127 /* sh(1): there is no such command */

int cli_host_check_image(const char *image, struct pi_error *err)
{
    struct image_ref ref;
    if (image_ref_parse(image, &ref, NULL) < 0 || ref.kind != IMAGE_REF_FILE || *image == '/')
        return 0;
    return pi_refuse(
        err, PI_USAGE,
        "%s is a file of this host: copy it to the other one (scp), and write the absolute path there",
        image);
}

int cli_host_take(char **words, struct pi_error *err)
{
    static const char option[] = "--host";
    const size_t length = strlen(option);
    if (!words[0] || strncmp(words[0], option, length) != 0 || (words[0][length] && words[0][length] != '='))
        return 0;
    const bool attached = words[0][length] == '=';
    const char *url = attached ? words[0] + length + 1 : words[1];
    if (!url)
        return pi_refuse(err, PI_USAGE, "--host needs a value: --host ssh://[USER@]HOST[:PORT]");
    int r = *url ? pi_host_url_check(url, err) : 0;
    if (r < 0)
        return pi_context(err, r, "--host");
    return setenv(CLI_HOST_VARIABLE, url, 1) < 0 ? pi_fail(err, errno, "--host") : attached ? 1 : 2;
}

int cli_host_init(struct cli_host *ret, const char *url, const struct pi_paths *paths, struct pi_error *err)
{
    char digest[IMAGE_SHA256_LENGTH + 1];
    const char *chosen = cli_host_chosen();
    int r = pi_host_url_check(url, err);
    if (r < 0) /* the value of --host was checked before */
        return chosen && !strcmp(chosen, url) ? pi_context(err, r, CLI_HOST_VARIABLE) : r;
    if (image_digest_text(url, digest) < 0 || !(ret->url = strdup(url)))
        return pi_fail(err, ENOMEM, "%s", url);
    snprintf(ret->base, sizeof ret->base, "%s/ssh-%.*s", paths->runtime, NAME_CHARS, digest);
    return 0;
}

void cli_host_done(struct cli_host *host)
{
    free(host->url);
    *host = (struct cli_host){0};
}

int cli_host_socket(const struct cli_host *host, char ret[PATH_MAX], struct pi_error *err)
{
    int n = snprintf(ret, PATH_MAX, "%s" SOCKET, host->base);
    return n < 0 || n >= PATH_MAX ? pi_fail(err, ENAMETOOLONG, "%s", host->url) : 0;
}

/* ssh expands '%' in a path. */
static int add_host_path(const char *option, const char *base, const char *tail, struct pi_strv *ret)
{
    pi_auto_buf struct pi_buf path = {0};
    for (const char *c = base; *c; c++)
        if (pi_buf_printf(&path, *c == '%' ? "%%%%" : "%c", *c) < 0)
            return -ENOMEM;
    return pi_strv_addf(ret, "%s%s%s", option, path.data, tail);
}

/* ssh and its options, up to the host. */
static int add_host_ssh(const struct cli_host *host, const char *const *more, struct pi_strv *ret,
                        struct pi_error *err)
{
    pi_auto_free char *ssh = NULL;
    int r = cli_reach_program("ssh", &ssh, err);
    if (r < 0)
        return r;
    r = pi_strv_add(ret, ssh);
    for (; r == 0 && *more; more++) /* ssh takes the first of two settings */
        r = pi_strv_add(ret, *more);
    for (size_t i = 0; r == 0 && pi_host_ssh_options[i]; i++)
        r = pi_strv_add(ret, pi_host_ssh_options[i]);
    if (r == 0)
        r = add_host_path("-S", host->base, CONTROL, ret);
    if (r == 0)
        r = pi_strv_add(ret, "--");
    if (r == 0)
        r = pi_strv_add(ret, host->url);
    return r < 0 ? pi_fail(err, -r, "ssh") : 0;
}

/* Waits until ssh ends; for a login it says once that this takes long. */
static void await_ssh(int pidfd, const char *login_url)
{
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    int r, timeout_ms = login_url ? (int)PATIENCE_MS : -1;
    while ((r = poll(&ended, 1, timeout_ms)) == 0 || (r < 0 && errno == EINTR)) {
        if (r < 0)
            continue;
        fprintf(stderr, "still logging in at %s: waiting for its SSH server\n", login_url);
        timeout_ms = -1;
    }
}

/* Runs ssh with this terminal and returns its exit code. */
static int run_host_ssh(const struct cli_host *host, const int fds[3], const char *const *more,
                        const char *command, bool is_login, struct pi_error *err)
{
    pi_auto_strv struct pi_strv argv = {0};
    pi_auto_close int pidfd = -1;
    char text[64];
    pid_t pid;
    int code, r = add_host_ssh(host, more, &argv, err);
    if (r < 0)
        return r;
    if (pi_strv_add(&argv, command) < 0)
        return pi_fail(err, ENOMEM, "ssh");
    fflush(stdout);
    const struct pi_spawn how = {
        .argv = (const char *const *)argv.items, .fds = fds, .fd_count = 3, .orphan_signal = SIGTERM};
    if ((r = pi_spawn(&how, &pid, &pidfd, err)) < 0)
        return r;
    await_ssh(pidfd, is_login ? host->url : NULL);
    r = pi_reap(pidfd, &code, text, sizeof text);
    return r < 0 ? pi_fail(err, -r, "ssh") : code;
}

static int refuse_unreachable(const struct cli_host *host, struct pi_error *err)
{
    return pi_refuse(err, PI_AGENT, "cannot reach %s: what runs there goes on; try it with: ssh %s",
                     host->url, host->url);
}

static int refuse_missing(const struct cli_host *host, struct pi_error *err)
{
    return pi_refuse(err, PI_AGENT,
                     "there is no piagent on %s, or not in the PATH that SSH gives there: install piagent %s",
                     host->url, PIAGENT_VERSION);
}

/* The last line of what a command there said, without its "piagent: ". */
static const char *last_said(struct pi_buf *said)
{
    static const char name[] = "piagent: ";
    while (said->size && isspace((unsigned char)said->data[said->size - 1]))
        said->data[--said->size] = '\0';
    char *line = said->size ? strrchr(said->data, '\n') : NULL;
    const char *last = line ? line + 1 : said->size ? said->data : "it said nothing";
    return pi_starts_with(last, name) ? last + strlen(name) : last;
}

/* Runs a command there and adds to ret all that it says. Its exit code, or negative. */
static int ask_host(const struct cli_host *host, const char *command, struct pi_buf *ret,
                    struct pi_error *err)
{
    pi_auto_strv struct pi_strv argv = {0};
    int code = 0;
    int r = add_host_ssh(host, (const char *const[]){"-T", NULL}, &argv, err);
    if (r == 0 && pi_strv_add(&argv, command) < 0)
        r = pi_fail(err, ENOMEM, "ssh");
    if (r == 0)
        r = pi_run_within((const char *const *)argv.items, COMMAND_MS, ret, &code, err);
    if (r == -ETIMEDOUT)
        return pi_refuse(err, PI_TIMEOUT, "%s: a command there did not end in %u s", host->url,
                         COMMAND_MS / 1000);
    if (r < 0)
        return r;
    return code == SSH_FAILED ? refuse_unreachable(host, err) : code;
}

int cli_host_read(const struct cli_host *host, const char *command, struct pi_buf *ret, struct pi_error *err)
{
    int r = ask_host(host, command, ret, err);
    return r <= 0 ? r : pi_refuse(err, PI_AGENT, "%s: %s", host->url, last_said(ret));
}

/* Waits while another command logs in. The descriptor holds the lock. */
static int lock_login(const struct cli_host *host, struct pi_error *err)
{
    char path[PATH_MAX + sizeof LOCK];
    snprintf(path, sizeof path, "%s" LOCK, host->base);
    pi_auto_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return pi_fail(err, errno, "cannot open %s", path);
    for (uint64_t end = pi_monotonic_ms() + PATIENCE_MS; flock(fd, LOCK_EX | LOCK_NB) < 0; usleep(20000)) {
        if (pi_monotonic_ms() < end)
            continue;
        fprintf(stderr, "another command logs in at %s: waiting for it\n", host->url);
        if (flock(fd, LOCK_EX) == 0)
            break;
        return pi_fail(err, errno, "cannot lock %s", path);
    }
    return pi_steal_fd(&fd);
}

/* Opens the connection that is shared, unless it is open. */
static int log_in_there(const struct cli_host *host, struct pi_error *err)
{
    const char *slash = strrchr(host->base, '/');
    pi_auto_free char *folder = strndup(host->base, (size_t)(slash - host->base));
    char name[NAME_CHARS + 64];
    if (!folder)
        return pi_fail(err, ENOMEM, "%s", host->url);
    snprintf(name, sizeof name, "%s" CONTROL, slash + 1);
    pi_auto_close int open = pi_socket_connect(folder, name, NULL);
    if (open >= 0)
        return 0;
    struct sockaddr_un longest;
    snprintf(name, sizeof name, "%s" CONTROL "%*s", slash + 1, SUFFIX, "");
    int r = pi_socket_address(folder, name, &longest, err);
    if (r < 0)
        return r;
    r = run_host_ssh(host, (const int[]){-1, -1, 2},
                     (const char *const[]){"-T", "-oControlMaster=yes", "-oControlPersist=60", NULL},
                     "exit 0", true, err);
    return r == SSH_FAILED ? refuse_unreachable(host, err) : r < 0 ? r : 0;
}

int cli_host_run(const struct cli_host *host, const char *command, struct pi_error *err)
{
    const bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    pi_auto_close int lock = lock_login(host, err);
    int r = lock < 0 ? lock : log_in_there(host, err);
    if (r < 0)
        return r;
    close(pi_steal_fd(&lock));
    r = run_host_ssh(host, (const int[]){0, 1, 2}, (const char *const[]){terminal ? "-t" : "-T", NULL},
                     command, false, err);
    return r == SSH_FAILED ? refuse_unreachable(host, err) : r == NOT_FOUND ? refuse_missing(host, err) : r;
}

/* Forwards the agent's socket. ssh does nothing if it does so already. */
static int forward_socket(const struct cli_host *host, const char *there, struct pi_error *err)
{
    pi_auto_strv struct pi_strv argv = {0};
    pi_auto_buf struct pi_buf forward = {0};
    struct pi_error why = {0};
    pi_auto_free char *ssh = NULL;
    char here[PATH_MAX];
    int r = cli_host_socket(host, here, err);
    if (r < 0 || (r = cli_reach_program("ssh", &ssh, err)) < 0)
        return r;
    const char *const paths[] = {here, there};
    for (size_t i = 0; r == 0 && i < PI_ARRAY_SIZE(paths); i++) {
        r = i ? pi_buf_puts(&forward, ":") : 0;
        for (const char *c = paths[i]; r == 0 && *c; c++)
            r = pi_buf_printf(&forward, "%s%c", *c == '%' ? "%" : strchr(":\\", *c) ? "\\" : "", *c);
    }
    if (r < 0 || pi_strv_add(&argv, ssh) < 0 || pi_strv_add(&argv, "-Fnone") < 0 ||
        add_host_path("-S", host->base, CONTROL, &argv) < 0 || pi_strv_add(&argv, "-Oforward") < 0 ||
        pi_strv_addf(&argv, "-L%s", forward.data) < 0 || pi_strv_add(&argv, "--") < 0 ||
        pi_strv_add(&argv, host->url) < 0)
        return pi_fail(err, ENOMEM, "ssh");
    r = pi_run((const char *const *)argv.items, NULL, NULL, &why);
    return r < 0 ? pi_refuse(err, PI_AGENT, "cannot forward the agent's socket of %s: %.400s", host->url,
                             why.text)
                 : 0;
}

/* Starts the agent there, unless it runs. It prints its socket's path; a shell's startup files may print before it. */
static int start_there(const struct cli_host *host, bool unless_stopped, struct pi_buf *said,
                       const char **ret, struct pi_error *err)
{
    int r = ask_host(host, unless_stopped ? "piagent agent start --unless-stopped" : "piagent agent start",
                     said, err);
    if (r < 0)
        return r;
    if (r == NOT_FOUND)
        return refuse_missing(host, err);
    const char *last = last_said(said);
    if (r == PI_USAGE)
        return pi_refuse(err, PI_AGENT,
                         "the piagent of %s is older than --host: install piagent %s there (%.200s)",
                         host->url, PIAGENT_VERSION, last);
    if (r != 0 || *last != '/')
        return pi_refuse(err, PI_AGENT, "%s: %.600s", host->url, last);
    *ret = last;
    return 0;
}

int cli_host_forward(const struct cli_host *host, bool unless_stopped, struct pi_error *err)
{
    pi_auto_buf struct pi_buf said = {0};
    const char *socket = NULL;
    pi_auto_close int lock = lock_login(host, err);
    int r = lock < 0 ? lock : log_in_there(host, err);
    if (r == 0)
        r = start_there(host, unless_stopped, &said, &socket, err);
    return r < 0 ? r : forward_socket(host, socket, err);
}

int cli_host_connect(const struct cli_host *host, uint16_t port)
{
    char target[32];
    pi_auto_strv struct pi_strv argv = {0};
    int ends[2];
    pid_t pid;
    snprintf(target, sizeof target, "-W127.0.0.1:%u", port);
    int r = add_host_ssh(host, (const char *const[]){target, NULL}, &argv, NULL);
    if (r < 0)
        return r;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    pi_auto_close int ours = ends[0], theirs = ends[1], pidfd = -1;
    const struct pi_spawn how = {.argv = (const char *const *)argv.items,
                                 .fds = (const int[]){theirs, theirs, -1},
                                 .fd_count = 3,
                                 .new_session =
                                     true}; /* other commands may share the connection that it carries */
    r = pi_spawn(&how, &pid, &pidfd, NULL);
    if (r == 0 && fcntl(ours, F_SETFL, O_NONBLOCK) < 0)
        r = -errno;
    return r < 0 ? r : pi_steal_fd(&ours);
}
