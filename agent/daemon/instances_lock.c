/* SPDX-License-Identifier: MIT */
#include "agent/daemon/instances_lock.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/fs.h"
#include "agent/base/text.h"

#define TAKE_MS    2000
#define WHERE_FILE "agent.where" /* "PID SOCKETS-FOLDER" of the agent that has the instances */

/* Names the agent that has the instances, by the file that it left (WHERE_FILE), and says how to reach it. */
static int refuse_second(const struct pi_paths *paths, int state_fd, struct pi_error *err)
{
    static const char folder[] = "/piagent";
    pi_auto_buf struct pi_buf where = {0};
    char *runtime = NULL;
    if (pi_file_read(state_fd, WHERE_FILE, PATH_MAX + 32, &where, NULL) == 0 && where.size &&
        (runtime = strchr(where.data, ' ')))
        *runtime++ = '\0';
    if (!runtime)
        return pi_refuse(err, PI_AGENT,
                         "another agent of yours, started with another XDG_RUNTIME_DIR, looks after the "
                         "instances in %s: set XDG_RUNTIME_DIR as it was there, or end that agent",
                         paths->instances);
    bool set = pi_ends_with(runtime, folder);
    return pi_refuse(
        err, PI_AGENT,
        "another agent of yours (process %s, its sockets in %s) looks after the instances in %s: to "
        "use it, or to stop it (piagent agent stop), begin commands with: %s%.*s",
        where.data, runtime, paths->instances, set ? "XDG_RUNTIME_DIR=" : "env -u XDG_RUNTIME_DIR",
        set ? (int)(strlen(runtime) - strlen(folder)) : 0, runtime);
}

int instances_lock_take(const struct pi_paths *paths, int folder_fd, int state_fd, struct pi_error *err)
{
    for (uint64_t end = pi_monotonic_ms() + TAKE_MS; flock(folder_fd, LOCK_EX | LOCK_NB) < 0; usleep(20000)) {
        if (errno != EWOULDBLOCK)
            return pi_fail(err, errno, "cannot lock %s", paths->instances);
        if (pi_monotonic_ms() >= end)
            return refuse_second(paths, state_fd, err);
    }
    char where[PATH_MAX + 32];
    int size = snprintf(where, sizeof where, "%d %s", (int)getpid(), paths->runtime);
    /* If the disk is full, only a message of refuse_second() will say less. */
    (void)pi_file_replace(state_fd, WHERE_FILE, where, (size_t)size, 0600, NULL);
    return 0;
}
