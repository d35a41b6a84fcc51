/* SPDX-License-Identifier: MIT */
#include "agent/base/user_manager.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/base/paths.h"
#include "agent/base/proc.h"
#include "agent/base/text.h"

int pi_user_manager_find(pid_t *ret, struct pi_error *err)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char folder[PATH_MAX];
    struct ucred peer;
    socklen_t size = sizeof peer;
    snprintf(folder, sizeof folder, "%s/systemd", runtime ? runtime : "");
    pi_auto_close int fd = pi_socket_connect(folder, "private", err);
    if (fd < 0)
        return fd;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return pi_fail(err, errno, "%s/private", folder);
    *ret = peer.pid;
    return 0;
}

/* The controllers that the manager may use: those of its own cgroup, which is the parent of its init.scope.
 * With cgroup v1 a user's manager has none. */
static int read_controllers(pid_t manager, struct pi_buf *ret)
{
    static const char unified[] = "0::", leaf[] = "/init.scope";
    pi_auto_buf struct pi_buf cgroups = {0};
    char pid[16], path[PATH_MAX];
    snprintf(pid, sizeof pid, "%d", (int)manager);
    int r = pi_proc_read(pid, "cgroup", &cgroups);
    char *group = r < 0 ? NULL : strstr(cgroups.data, unified);
    if (!group)
        return r < 0 ? r : -ENOTSUP;
    group += strlen(unified);
    group[strcspn(group, "\n")] = '\0';
    if (pi_ends_with(group, leaf))
        group[strlen(group) - strlen(leaf)] = '\0';
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/cgroup.controllers", group);
    return pi_file_read(AT_FDCWD, path, 4096, ret, NULL);
}

bool pi_user_manager_has(pid_t manager, const char *controller)
{
    pi_auto_buf struct pi_buf controllers = {0};
    char *rest = read_controllers(manager, &controllers) < 0 ? NULL : controllers.data, *word;
    while ((word = rest ? strtok_r(rest, " \n", &rest) : NULL))
        if (!strcmp(word, controller))
            return true;
    return false;
}
