/* SPDX-License-Identifier: MIT */
#include "agent/cli/client/ssh_pass.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/auto.h"

#define VARIABLE  "PIAGENT_SSH_PASS"
#define ANSWER_MS 5000 /* both sides are processes of this command */

static int open_at(const char *path, bool listens)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    pi_auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0 || strlen(path) >= sizeof address.sun_path)
        return -1;
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int r = listens ? bind(fd, (const struct sockaddr *)&address, sizeof address)
                    : connect(fd, (const struct sockaddr *)&address, sizeof address);
    return r < 0 || (listens && listen(fd, SOMAXCONN) < 0) ? -1 : pi_steal_fd(&fd);
}

/* The socket's name goes at once, so that none is left behind however this command ends: the socket is
 * reached by its descriptor (proc(5), /proc/pid/fd). */
static int open_socket(struct cli_ssh_pass *pass, const struct pi_paths *paths)
{
    pi_auto_free char *path = NULL;
    char by_descriptor[64];
    if (asprintf(&path, "%s/ssh-%d.pass", paths->runtime, (int)getpid()) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    (void)unlink(path); /* of a process that had this pid and was killed */
    pass->listen_fd = open_at(path, true);
    pass->name_fd = open(path, O_PATH | O_CLOEXEC);
    (void)unlink(path);
    snprintf(by_descriptor, sizeof by_descriptor, "/proc/%d/fd/%d", (int)getpid(), pass->name_fd);
    return setenv(VARIABLE, by_descriptor, 1) < 0 ? -ENOMEM : 0;
}

int cli_ssh_pass_add(struct cli_ssh_pass *pass, const struct pi_paths *paths, const char *name, int fd)
{
    pi_auto_close int owned = fd;
    int r = pass->name_fd >= 0 ? 0 : open_socket(pass, paths);
    struct cli_ssh_passed *items = r == 0 ? reallocarray(pass->items, pass->count + 1, sizeof *items) : NULL;
    if (!items)
        return -ENOMEM;
    pass->items = items;
    if (pass->listen_fd < 0)
        return 0;
    items[pass->count] = (struct cli_ssh_passed){.fd = pi_steal_fd(&owned)};
    snprintf(items[pass->count++].name, sizeof items->name, "%s", name);
    return 0;
}

/* One message with the descriptor in it, to be sent or received. */
union control {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

static void send_fd(int to, int fd)
{
    union control control = {0};
    struct iovec byte = {.iov_base = (char[]){0}, .iov_len = 1};
    struct msghdr message = {.msg_iov = &byte,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    (void)sendmsg(to, &message, MSG_NOSIGNAL);
}

static int receive_fd(int from)
{
    union control control = {0};
    struct iovec byte = {.iov_base = (char[1]){0}, .iov_len = 1};
    struct msghdr message = {.msg_iov = &byte,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    int fd = -1;
    if (recvmsg(from, &message, MSG_CMSG_CLOEXEC) <= 0)
        return -1;
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof fd))
        memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return fd;
}

static bool is_readable_soon(int fd)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    return poll(&readable, 1, ANSWER_MS) > 0;
}

void cli_ssh_pass_serve(struct cli_ssh_pass *pass)
{
    char name[PI_NAME_MAX + 1] = "";
    pi_auto_close int client = accept4(pass->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (client < 0 || !is_readable_soon(client) || recv(client, name, sizeof name - 1, 0) <= 0)
        return;
    for (size_t i = 0; i < pass->count; i++)
        if (pass->items[i].fd >= 0 && !strcmp(pass->items[i].name, name)) {
            send_fd(client, pass->items[i].fd);
            close(pi_steal_fd(&pass->items[i].fd));
            return;
        }
}

int cli_ssh_pass_take(const char *name)
{
    const char *path = getenv(VARIABLE);
    pi_auto_close int fd = path ? open_at(path, false) : -1;
    if (fd < 0 || send(fd, name, strlen(name), MSG_NOSIGNAL) < 0 || !is_readable_soon(fd))
        return -1;
    return receive_fd(fd);
}

void cli_ssh_pass_done(struct cli_ssh_pass *pass)
{
    for (size_t i = 0; i < pass->count; i++)
        pi_close_p(&pass->items[i].fd);
    free(pass->items);
    pi_close_p(&pass->listen_fd);
    pi_close_p(&pass->name_fd);
}
