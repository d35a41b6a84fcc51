/* SPDX-License-Identifier: MIT */
#include "agent/daemon/takeover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/base/text.h"
#include "agent/daemon/agent.h"
#include "agent/instance/adoption.h"
#include "agent/instance/instance.h"
#include "agent/instance/qemu_sockets.h"
#include "agent/loop/log.h"

/* Removes a socket whose instance is gone: its folder was taken away while no agent ran. A QEMU that still
 * runs is not ended for that, because its disk is there as long as it runs. */
static void sweep_socket(struct agent *agent, int runtime_fd, const char *socket)
{
    char name[PI_NAME_MAX + 1], folder[PATH_MAX];
    enum qemu_socket which;
    if (!qemu_socket_parse(socket, name, &which))
        return;
    snprintf(folder, sizeof folder, "%s/%s", agent->paths.instances, name);
    if (host_find(&agent->host, name, false))
        return;
    pid_t pid = adoption_find_qemu(folder, NULL);
    if (pid == 0)
        unlinkat(runtime_fd, socket, 0);
    else if (pid > 0 && which == QEMU_SOCKET_QMP &&
             faccessat(AT_FDCWD, folder, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
        log_line("%s: %s is gone, but its QEMU runs on: save what is in it, then end it with: kill %d", name,
                 folder, (int)pid);
}

static bool is_removing(const struct agent *agent)
{
    const struct instance *instance;
    LIST_FOREACH(instance, &agent->host.instances, entry)
        if (store_is_discarding(instance) && !vm_life_is_gone(&instance->record.life))
            return true;
    return false;
}

int agent_adopt_all(struct agent *agent, struct pi_error *err)
{
    pi_temp_sweep(agent->host.folder_fd);
    pi_auto_closedir DIR *dir = pi_dir_entries(agent->host.folder_fd, ".");
    if (!dir)
        return pi_fail(err, errno, "%s", agent->paths.instances);
    for (struct dirent *entry; (entry = readdir(dir));)
        adoption_load(&agent->host, entry->d_name);

    pi_auto_closedir DIR *sockets = pi_dir_entries(AT_FDCWD, agent->paths.runtime);
    for (struct dirent *entry; sockets && (entry = readdir(sockets));)
        sweep_socket(agent, dirfd(sockets), entry->d_name);
    lans_members_changed(&agent->host.lans);
    while (is_removing(
        agent)) /* the names of ephemeral instances that have ended are free before a client asks */
        uv_run(&agent->loop, UV_RUN_ONCE);
    return 0;
}
