/* SPDX-License-Identifier: MIT */
#include "agent/daemon/sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
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

int socket_listen_loopback(uint16_t *port, struct pi_error *err)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(*port)};
    socklen_t size = sizeof address;
    int yes = 1;
    pi_auto_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return pi_fail(err, errno, "socket");
    /* Connections of guests that were under way when an agent ended must not keep the next one from its port.
     */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        return pi_fail(err, errno, "cannot listen on 127.0.0.1:%u", *port);
    *port = ntohs(address.sin_port);
    return pi_steal_fd(&fd);
}
