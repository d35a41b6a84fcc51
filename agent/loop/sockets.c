/* SPDX-License-Identifier: MIT */
#include "agent/loop/sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/paths.h"

/* A thousand guests that boot together ask in the same moment; a connection that finds no room is tried again
 * a second later. */
#define BACKLOG 4096

int socket_listen_unix(const char *folder, const char *name, struct pi_error *err)
{
    struct sockaddr_un address;
    int r = pi_socket_address(folder, name, &address, err);
    if (r < 0)
        return r;
    pi_auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return pi_fail(err, errno, "socket");
    unlink(address.sun_path);
    /* On Linux the mode of an unbound socket is the mode that bind gives the file (unix(7) leaves it to the
     * umask else). */
    if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(fd, BACKLOG) < 0)
        return pi_fail(err, errno, "cannot listen at %s", address.sun_path);
    return pi_steal_fd(&fd);
}

/* SO_REUSEPORT lets the sockets of one user share a port. SO_REUSEADDR: connections of guests that were under
 * way when an agent ended must not keep the next one from its port; they may be of an agent that did not
 * share it. */
static int bind_shared(uint16_t port, struct pi_error *err)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    const int yes = 1;
    pi_auto_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return pi_fail(err, errno, "socket");
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) < 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        return pi_fail(err, errno, "cannot bind 127.0.0.1:%u", port);
    return pi_steal_fd(&fd);
}

/* The kernel would share the guests' connections out among all of this user's sockets that listen at the port
 * (another agent's, with other folders). Of two that begin at once each sees the other, and both give way. */
static int check_alone(int fd, uint16_t port, struct pi_error *err)
{
    pi_auto_free char *line = NULL;
    size_t size = 0;
    struct stat own;
    pi_auto_fclose FILE *table = fopen("/proc/self/net/tcp", "re"); /* proc_pid_net(5) */
    if (!table || fstat(fd, &own) < 0)
        return pi_fail(err, errno, "/proc/self/net/tcp");
    bool alone = true;
    while (alone && getline(&line, &size, table) > 0) {
        unsigned local_port, state;
        unsigned long inode;
        alone =
            sscanf(line, "%*s %*8x:%4x %*s %2x %*s %*s %*s %*s %*s %lu", &local_port, &state, &inode) != 3 ||
            local_port != port || state != TCP_LISTEN || inode == own.st_ino;
    }
    return alone ? 0 : pi_fail(err, EADDRINUSE, "another program listens at 127.0.0.1:%u", port);
}

int socket_listen_loopback(uint16_t port, struct pi_error *err)
{
    pi_auto_close int fd = bind_shared(port, err);
    if (fd < 0)
        return fd;
    if (listen(fd, BACKLOG) < 0)
        return pi_fail(err, errno, "cannot listen on 127.0.0.1:%u", port);
    int r = check_alone(fd, port, err);
    return r < 0 ? r : pi_steal_fd(&fd);
}

int socket_hold_loopback(uint16_t port, struct pi_error *err)
{
    const int no = 0;
    pi_auto_close int fd = bind_shared(port, err);
    if (fd < 0)
        return fd;
    /* While a bound socket that does not listen has this option, every user may bind the port beside it. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &no, sizeof no) < 0)
        return pi_fail(err, errno, "cannot hold 127.0.0.1:%u", port);
    return pi_steal_fd(&fd);
}
