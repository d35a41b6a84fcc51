/* SPDX-License-Identifier: MIT */
#include "agent/instance/qemu_sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/instance/instance.h"
#include "agent/instance/membership.h"
#include "agent/loop/sockets.h"

static const char *const suffixes[] = {[QEMU_SOCKET_QMP] = ".qmp",
                                       [QEMU_SOCKET_CONSOLE] = ".console",
                                       [QEMU_SOCKET_GUEST_AGENT] = ".agent",
                                       [QEMU_SOCKET_IDENTITY] = ".ident"};

int qemu_socket_fd(enum qemu_socket which)
{
    return which == QEMU_SOCKET_IDENTITY ? QEMU_IDENTITY_FD : QEMU_SOCKET_FD + (int)which;
}

static int file_fd(enum qemu_socket which)
{
    return which == QEMU_SOCKET_IDENTITY ? QEMU_IDENTITY_FD + 1 : QEMU_FILE_FD + (int)which;
}

void qemu_socket_file(const char *name, enum qemu_socket which, char ret[QEMU_SOCKET_NAME_MAX + 1])
{
    snprintf(ret, QEMU_SOCKET_NAME_MAX + 1, "%s%s", name, suffixes[which]);
}

bool qemu_socket_parse(const char *file, char name[PI_NAME_MAX + 1], enum qemu_socket *which)
{
    for (size_t i = 0; i < QEMU_SOCKETS; i++) {
        size_t length = strlen(file) - strlen(suffixes[i]);
        if (!pi_ends_with(file, suffixes[i]) || length > PI_NAME_MAX)
            continue;
        snprintf(name, PI_NAME_MAX + 1, "%.*s", (int)length, file);
        *which = (enum qemu_socket)i;
        return true;
    }
    return false;
}

void qemu_sockets_find(const struct instance *instance, enum qemu_socket which, struct qemu_socket_place *ret)
{
    snprintf(ret->folder, sizeof ret->folder, "%s", instance->host->runtime);
    qemu_socket_file(instance->record.spec.name, which, ret->name);
    /* Another user may have made a folder at this path after ours was taken away. */
    pi_auto_close int dir = pi_dir_find(ret->folder, NULL);
    if (dir >= 0 && faccessat(dir, ret->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return;
    /* The name is gone, but QEMU has the file open: connect(2) goes through the link in /proc. */
    snprintf(ret->folder, sizeof ret->folder, "/proc/%u/fd", (unsigned)instance->record.pid);
    snprintf(ret->name, sizeof ret->name, "%d", file_fd(which));
}

int qemu_sockets_check(const struct instance *instance, struct pi_error *err)
{
    const char *runtime = instance->host->runtime, *name = instance->record.spec.name;
    size_t taken = strlen(runtime) + strlen("/") + strlen(suffixes[QEMU_SOCKET_CONSOLE]),
           max = sizeof((struct sockaddr_un *)0)->sun_path - 1;
    if (taken + strlen(name) <= max)
        return 0;
    return pi_refuse(
        err, PI_HOST,
        "the name %s is too long for the path of a socket in %s, which leaves room for %zu characters: choose a "
        "shorter name, or set XDG_RUNTIME_DIR to a shorter folder",
        name, runtime, max > taken ? max - taken : 0);
}

void qemu_sockets_clean(const struct instance *instance)
{
    pi_auto_close int dir = open(instance->host->runtime, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; dir >= 0 && i < QEMU_SOCKETS; i++) {
        char file[QEMU_SOCKET_NAME_MAX + 1];
        qemu_socket_file(instance->record.spec.name, (enum qemu_socket)i, file);
        unlinkat(dir, file, 0);
    }
}

/* Binds one, and opens its file: by that QEMU can be connected to even when the name is gone. */
static int bind_socket(const struct instance *instance, enum qemu_socket which, int fds[QEMU_FD_COUNT],
                       struct pi_error *err)
{
    char file[QEMU_SOCKET_NAME_MAX + 1], path[PATH_MAX];
    const char *runtime = instance->host->runtime;
    qemu_socket_file(instance->record.spec.name, which, file);
    snprintf(path, sizeof path, "%s/%s", runtime, file);
    int *socket = &fds[qemu_socket_fd(which)], *name = &fds[file_fd(which)];
    if ((*socket = socket_listen_unix(runtime, file, err)) < 0)
        return *socket;
    *name = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    return *name < 0 ? pi_fail(err, errno, "cannot open %s", path) : 0;
}

int qemu_sockets_bind(const struct instance *instance, int fds[QEMU_FD_COUNT], struct pi_error *err)
{
    host_need_runtime(instance->host);
    pi_auto_close int runtime = pi_dir_open(instance->host->runtime, err);
    int r = runtime < 0 ? runtime : 0;
    int count = instance->record.template_hardware ? QEMU_SOCKETS : QEMU_SOCKET_IDENTITY;
    for (int i = 0; r == 0 && i < count; i++)
        r = bind_socket(instance, (enum qemu_socket)i, fds, err);
    return r < 0 ? r : membership_open(instance, fds + QEMU_NETWORK_FD, err);
}

void qemu_sockets_close(int fds[QEMU_FD_COUNT])
{
    for (int i = QEMU_NETWORK_FD; i < QEMU_IDENTITY_FD; i++)
        pi_close_p(&fds[i]);
    for (int i = 0; i < QEMU_SOCKETS; i++) {
        pi_close_p(&fds[qemu_socket_fd((enum qemu_socket)i)]);
        pi_close_p(&fds[file_fd((enum qemu_socket)i)]);
    }
}
