/* SPDX-License-Identifier: MIT */
/*
 * The folder of the agent's sockets, and its lock: one agent a user. systemd-tmpfiles, a logout or a person
 * may remove the folder or a file in it while the agent runs. The agent notices, makes it anew, and serves
 * there as before.
 */
#ifndef PIAGENT_DAEMON_RUNTIME_H
#define PIAGENT_DAEMON_RUNTIME_H

#include <stdbool.h>
#include <sys/types.h>

#include "agent/base/error.h"
#include "agent/loop/loop.h"

struct agent;

/* A file that the agent made, told from another one that has its name by now. */
struct runtime_file {
    dev_t dev;
    ino_t ino;
};

struct runtime {
    int lock_fd;    /* API_LOCK_NAME, held until this process ends, however it ends */
    int control_fd; /* listens if the control API's first socket was taken away; else negative */
    int imds_fd;    /* the IMDS for isolated guests, who come over a unix socket */
    struct runtime_file lock, control, imds;
    struct watch *control_watch, *imds_watch;
    struct timer *timer;
    bool failure_told; /* the log says that a socket cannot be made anew */
};
#define RUNTIME_NONE                                    \
    (struct runtime)                                    \
    {                                                   \
        .lock_fd = -1, .control_fd = -1, .imds_fd = -1, \
    }

/* Takes the lock (PI_CONFLICT if another agent has it), and binds the control API's socket or takes it from
 * the service manager. *ret_control_fd is the caller's. */
int runtime_open(struct agent *agent, int *ret_control_fd, struct pi_error *err);

/* Serves isolated guests, and looks after the folder from now on. */
int runtime_serve(struct agent *agent, struct pi_error *err);

/* Makes the folder, the lock and the sockets anew if they are gone. A timer calls this every few seconds;
 * call it also before you put something into the folder. */
void runtime_keep(struct agent *agent);

void runtime_close(struct agent *agent);

#endif
