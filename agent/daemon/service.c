/* SPDX-License-Identifier: MIT */
#include "agent/daemon/service.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/paths.h"
#include "agent/base/text.h"

#define LISTEN_FD 3 /* SD_LISTEN_FDS_START */

static uint64_t read_variable(const char *variable)
{
    uint64_t value = 0;
    const char *text = getenv(variable);
    return text && pi_number_parse(text, 0, INT64_MAX, &value, NULL) == 0 ? value : 0;
}

static bool is_for_us(const char *variable)
{
    return read_variable(variable) == (uint64_t)getpid();
}

static bool listens_at(int fd, const struct sockaddr_un *wanted, struct sockaddr_un *address)
{
    int listening = 0;
    socklen_t size = sizeof listening, address_size = sizeof *address;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening &&
           getsockname(fd, (struct sockaddr *)address, &address_size) == 0 &&
           address->sun_family == AF_UNIX && !strcmp(address->sun_path, wanted->sun_path);
}

static int take_socket(const char *folder, const char *name, int *ret, struct pi_error *err)
{
    struct sockaddr_un wanted, address = {0};
    uint64_t count = is_for_us("LISTEN_PID") ? read_variable("LISTEN_FDS") : 0;
    int r = pi_socket_address(folder, name, &wanted, err);
    if (r < 0 || !count)
        return r;
    if (count != 1 || !listens_at(LISTEN_FD, &wanted, &address))
        return pi_refuse(
            err, PI_HOST,
            "the service manager handed over %s instead of a socket that listens at %s: set ListenStream= of piagent.socket to that",
            count != 1            ? "several sockets"
            : address.sun_path[0] ? address.sun_path
                                  : "something",
            wanted.sun_path);
    if (fcntl(LISTEN_FD, F_SETFD, FD_CLOEXEC) < 0 || fcntl(LISTEN_FD, F_SETFL, O_NONBLOCK) < 0)
        return pi_fail(err, errno, "%s", wanted.sun_path);
    *ret = LISTEN_FD;
    return 0;
}

static int open_notify(struct service *service, struct pi_error *err)
{
    const char *path = getenv("NOTIFY_SOCKET");
    if (!path || !path[0])
        return 0;
    size_t length = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || length >= sizeof service->notify.sun_path)
        return pi_refuse(err, PI_HOST, "NOTIFY_SOCKET=%.128s is neither a path nor an abstract socket", path);
    service->notify.sun_family = AF_UNIX;
    memcpy(service->notify.sun_path, path, length);
    if (path[0] == '@')
        service->notify.sun_path[0] = '\0';
    service->notify_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    service->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return service->notify_fd < 0 ? pi_fail(err, errno, "NOTIFY_SOCKET") : 0;
}

int service_take(const char *folder, const char *name, struct service *ret, struct pi_error *err)
{
    static const char *const variables[] = {"LISTEN_PID",    "LISTEN_FDS",   "LISTEN_FDNAMES",
                                            "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"};
    struct service service = SERVICE_NONE;
    int r = open_notify(&service, err);
    if (r == 0)
        r = take_socket(folder, name, &service.listen_fd, err);
    if (!getenv("WATCHDOG_PID") || is_for_us("WATCHDOG_PID"))
        service.ping_ms = read_variable("WATCHDOG_USEC") / 2000;
    for (size_t i = 0; i < PI_ARRAY_SIZE(variables); i++)
        unsetenv(variables[i]);
    if (r < 0)
        service_done(&service);
    else
        *ret = service;
    return r;
}

void service_tell(const struct service *service, const char *format, ...)
{
    char text[1200];
    va_list args;
    if (service->notify_fd < 0)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    sendto(service->notify_fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL,
           (const struct sockaddr *)&service->notify, service->notify_size);
}

void service_done(struct service *service)
{
    pi_close_p(&service->listen_fd);
    pi_close_p(&service->notify_fd);
}
