/* SPDX-License-Identifier: MIT */
/*
 * Processes: starting one, holding it by a pidfd, and proving later that it is still the same one.
 * A pid alone proves nothing, because pids are reused: the identity is pid + start time + boot id.
 */
#ifndef PIAGENT_BASE_PROC_H
#define PIAGENT_BASE_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"

#define PI_BOOT_ID_LENGTH 36

struct pi_identity {
    pid_t pid;            /* 0 = none */
    uint64_t start_ticks; /* field 22 of /proc/PID/stat (proc_pid_stat(5)) */
    char boot_id[PI_BOOT_ID_LENGTH + 1];
};

struct pi_spawn {
    const char *const *argv;     /* argv[0] is the program's path; NULL-terminated */
    const int *fds;              /* fds[i] becomes descriptor i of the child; -1 = /dev/null for 0-2 */
    size_t fd_count;             /* at least 3; no other descriptor reaches the child */
    const char *const *environ_; /* NULL = this process's */
    const char *folder;          /* its current folder; NULL = this process's */
    bool new_session;            /* setsid: no terminal's signals reach it */
    bool deaf;                   /* SIGTERM, SIGINT and SIGHUP are blocked in it */
    int orphan_signal; /* sent to it when the thread that started it ends (PR_SET_PDEATHSIG); 0 = none */
};

/* Starts the program. The pidfd (O_CLOEXEC) is the caller's, readable once the process has ended. Reap with
 * pi_reap(). */
int pi_spawn(const struct pi_spawn *how, pid_t *ret_pid, int *ret_pidfd, struct pi_error *err);

/* A child process that waits to become its program. If this process ends first, the program never runs. */
struct pi_child {
    pid_t pid;
    int pidfd, link;
};
#define PI_CHILD_NONE ((struct pi_child){.pidfd = -1, .link = -1})

/* The two halves of pi_spawn(). Between them a caller can do what must happen before the program runs. */
int pi_child_new(const struct pi_spawn *how, struct pi_child *ret, struct pi_error *err);
/* Lets it become the program. 0 and its pidfd, which is the caller's, or -errno. *child is PI_CHILD_NONE
 * then. */
int pi_child_go(struct pi_child *child, int *ret_pidfd);
/* Kills the child, unless it is PI_CHILD_NONE. */
void pi_child_drop(struct pi_child *child);

/* Takes the status of a child that has ended. 0 with its exit code (128 + signal if a signal killed it) and a
 * text ("exit code 1", "killed by SIGKILL"); -EAGAIN while it runs; -ECHILD if it is not our child. */
int pi_reap(int pidfd, int *ret_code, char *text, size_t text_size);

/* This host's boot id (/proc/sys/kernel/random/boot_id). */
int pi_boot_id(char ret[PI_BOOT_ID_LENGTH + 1], struct pi_error *err);

/* Adds /proc/PID/FILE to ret ("self" is a pid, too); -ENODATA if it is empty. */
int pi_proc_read(const char *pid, const char *file, struct pi_buf *ret);

/* How much a process uses: one look at /proc/PID/stat. */
struct pi_usage {
    uint64_t start_ticks; /* tells whether it is the process that was meant: as in struct pi_identity */
    double cpu_s;         /* user and system time */
    uint64_t virtual_bytes, resident_bytes;
};
/* 0, -ENOENT if there is no such process, or another negative errno. */
int pi_usage_read(pid_t pid, struct pi_usage *ret);

/* The memory that a process has for itself, in bytes: no files (its program, libraries) that others share; with its page tables. */
int pi_memory_read(pid_t pid, uint64_t *ret);

/* The identity of a running process. */
int pi_identify(pid_t pid, struct pi_identity *ret, struct pi_error *err);

/* Opens the process that id names. Its pidfd, or -ESRCH if that process is gone (the host rebooted, the pid
 * was reused, it ended), or another negative errno if this could not find out. */
int pi_identity_open(const struct pi_identity *id);

/* Sends a signal through the pidfd (pidfd_send_signal(2)). 0 or -errno. */
int pi_signal(int pidfd, int signal);

/*
 * Runs a program and waits for its end. It is killed if this process ends first. Its standard input is
 * /dev/null; the last 64 KiB of its standard output and error are added to output, unless that is NULL.
 *
 * If ret_code is NULL, an exit code other than 0 is PI_FAILED, with the lines that the program printed (the
 * first and the last one if they are many). Else *ret_code is the exit code.
 *
 * Blocks: for the command line and workers, never for the agent's loop.
 */
int pi_run(const char *const *argv, struct pi_buf *output, int *ret_code, struct pi_error *err);

/* The same, but kills the program after timeout_ms (0 = no limit): PI_TIMEOUT. */
int pi_run_within(const char *const *argv, uint64_t timeout_ms, struct pi_buf *output, int *ret_code,
                  struct pi_error *err);

#endif
