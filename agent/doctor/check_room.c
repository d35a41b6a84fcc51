/* SPDX-License-Identifier: MIT */
/* Checks disk, memory, and the limits of a process and a user. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/doctor/check.h"
#include "agent/vm/host_memory.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

/* An image of Fedora takes half a GiB, and the first boot of an instance about as much. */
#define SPACE_LOW  (5 * GIB)
#define SPACE_NONE (1 * GIB)
#define INODES_LOW 1000u
#define HOLE_BYTES (64 * MIB)

/* An instance takes some descriptors of the agent, more while someone follows it. Its QEMU takes some tasks
 * of the user. */
#define FILES_LOW         1024u
#define FILES_AN_INSTANCE 8u
#define TASKS_LOW         512u
#define TASKS_AN_INSTANCE 8u

/* The folder, or the nearest parent that exists. */
static void nearest_existing(const char *path, char ret[PATH_MAX])
{
    snprintf(ret, PATH_MAX, "%s", path);
    while (strlen(ret) > 1 && access(ret, F_OK) < 0) {
        char *slash = strrchr(ret, '/');
        slash[slash == ret] = '\0';
    }
}

/* A disk of ten GiB must take no more room than what was written to it. The file never has a name. */
static bool is_dense(const char *folder)
{
    struct stat st;
    pi_auto_close int fd = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    return fd >= 0 && pwrite(fd, "", 1, HOLE_BYTES) == 1 && fstat(fd, &st) == 0 &&
           (uint64_t)st.st_blocks * 512 > HOLE_BYTES / 2;
}

void doctor_judge_space(const struct doctor_space *space, struct doctor_finding *ret)
{
    char room[32];
    pi_size_format(space->free_bytes, room);
    if (space->free_bytes < SPACE_NONE) {
        doctor_say(ret, DOCTOR_FAIL, "only %s free at %s", room, space->path);
    } else if (space->free_inodes < INODES_LOW) {
        doctor_say(ret, DOCTOR_WARN, "only %llu more files fit at %s", (unsigned long long)space->free_inodes,
                   space->path);
    } else if (space->type == TMPFS_MAGIC || space->type == RAMFS_MAGIC) {
        doctor_say(ret, DOCTOR_WARN,
                   "%s is in memory (%s free): its files are gone after a reboot of this host, "
                   "and take memory from the guests",
                   space->path, room);
        doctor_mend(ret, "set XDG_DATA_HOME and XDG_CACHE_HOME to folders on a disk");
        return;
    } else if (space->dense) {
        doctor_say(ret, DOCTOR_WARN,
                   "%s free at %s, but its file system cannot store sparse files: disks take "
                   "their full size",
                   room, space->path);
        doctor_mend(ret, "set XDG_DATA_HOME to a folder on ext4, xfs or btrfs");
        return;
    } else if (space->free_bytes < SPACE_LOW) {
        doctor_say(ret, DOCTOR_WARN, "%s free at %s: enough for an instance or two", room, space->path);
    } else {
        doctor_say(ret, DOCTOR_OK, "%s free at %s", room, space->path);
        return;
    }
    doctor_mend(
        ret, "free some space (piagent image prune, piagent rm), or set XDG_DATA_HOME and XDG_CACHE_HOME to "
             "folders on a larger disk");
}

void doctor_check_disk(const struct doctor_host *host, int arg, struct doctor_finding *ret)
{
    struct statfs fs;
    char path[PATH_MAX];
    if (!host->paths)
        return;
    nearest_existing(arg == DOCTOR_IMAGES ? host->paths->images : host->paths->instances, path);
    if (statfs(path, &fs) < 0) {
        doctor_say(ret, DOCTOR_WARN, "cannot see the free space at %s: %s", path, strerror(errno));
        return;
    }
    const struct doctor_space space = {.path = path,
                                       .type = (long)fs.f_type,
                                       .free_bytes = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize,
                                       .free_inodes = fs.f_files ? fs.f_ffree : UINT64_MAX,
                                       .dense = is_dense(path)};
    doctor_judge_space(&space, ret);
}

/* KEY: N kB */
static uint64_t meminfo_bytes(const char *text, const char *key)
{
    const char *line = strstr(text, key);
    return line ? strtoull(line + strlen(key), NULL, 10) * 1024 : 0;
}

static uint64_t number_in(const struct doctor_host *host, const char *path, uint64_t otherwise)
{
    pi_auto_buf struct pi_buf text = {0};
    return doctor_read(host, path, &text) && text.data[0] >= '0' && text.data[0] <= '9'
               ? strtoull(text.data, NULL, 10)
               : otherwise;
}

void doctor_judge_memory(const struct doctor_memory *memory, struct doctor_finding *ret)
{
    char available[32], total[32], swap[32];
    pi_size_format(memory->available, available);
    pi_size_format(memory->total, total);
    const struct vm_spec usual = {.arch = vm_arch_host()},
                         small = {.arch = vm_arch_host(), .memory_mib = VM_MEMORY_MIB_MIN};
    uint64_t free_mib =
        memory->available > memory->promised ? (memory->available - memory->promised) / MIB : 0;
    uint64_t fit = free_mib / vm_host_memory_mib(&usual);
    if (free_mib < vm_host_memory_mib(&small)) {
        doctor_say(ret, DOCTOR_FAIL, "%s available of %s: not even a small instance fits", available, total);
        doctor_mend(ret, "end programs that need memory, or add swap");
    } else if (fit == 0) {
        doctor_say(ret, DOCTOR_WARN, "%s available of %s: less than an instance takes by default", available,
                   total);
        doctor_mend(ret, "end programs that need memory, or run instances with --memory 512M");
    } else if (memory->overcommit == 2) {
        doctor_say(ret, DOCTOR_WARN,
                   "%s available of %s, but this host promises no more than it has: an "
                   "instance takes all of its memory from the start",
                   available, total);
        doctor_mend(ret, "%ssysctl vm.overcommit_memory=0", doctor_sudo());
    } else {
        doctor_say(ret, DOCTOR_OK, "%s available of %s, swap %s, KSM %s: %llu%s instances of 1 GiB fit",
                   available, total, memory->swap ? pi_size_format(memory->swap, swap) : "none",
                   memory->merges ? "on" : "off", (unsigned long long)fit, memory->promised ? " more" : "");
    }
}

/* A container finds its own limit in the root of its cgroups (version 2). */
void doctor_check_memory(const struct doctor_host *host, int arg, struct doctor_finding *ret)
{
    pi_auto_buf struct pi_buf info = {0};
    (void)arg;
    if (!doctor_read(host, "/proc/meminfo", &info))
        return;
    struct doctor_memory memory = {.total = meminfo_bytes(info.data, "MemTotal:"),
                                   .available = meminfo_bytes(info.data, "MemAvailable:"),
                                   .swap = meminfo_bytes(info.data, "SwapTotal:"),
                                   .promised = host->agent.promised_mib * MIB,
                                   .merges = number_in(host, "/sys/kernel/mm/ksm/run", 0) == 1,
                                   .overcommit = (int)number_in(host, "/proc/sys/vm/overcommit_memory", 0)};
    uint64_t limit = number_in(host, "/sys/fs/cgroup/memory.max", UINT64_MAX);
    uint64_t used = number_in(host, "/sys/fs/cgroup/memory.current", 0);
    if (limit < memory.total)
        memory.total = limit;
    if (limit != UINT64_MAX && limit - (used < limit ? used : limit) < memory.available)
        memory.available = limit - (used < limit ? used : limit);
    doctor_judge_memory(&memory, ret);
}

void doctor_judge_limits(uint64_t files, uint64_t processes, struct doctor_finding *ret)
{
    if (files < FILES_LOW) {
        doctor_say(ret, DOCTOR_WARN, "a process may have %llu files open, enough for about %llu instances",
                   (unsigned long long)files, (unsigned long long)(files / FILES_AN_INSTANCE));
        doctor_mend(ret, "raise it: ulimit -Hn 65536, or nofile in /etc/security/limits.conf");
    } else if (processes < TASKS_LOW) {
        doctor_say(ret, DOCTOR_WARN,
                   "you may have %llu processes and threads, enough for about %llu instances",
                   (unsigned long long)processes, (unsigned long long)(processes / TASKS_AN_INSTANCE));
        doctor_mend(ret, "raise it: ulimit -u 8192, or nproc in /etc/security/limits.conf");
    } else if (processes == UINT64_MAX) {
        doctor_say(ret, DOCTOR_OK, "%llu files a process, any number of processes",
                   (unsigned long long)files);
    } else {
        doctor_say(ret, DOCTOR_OK, "%llu files a process, %llu processes and threads",
                   (unsigned long long)files, (unsigned long long)processes);
    }
}

/* The agent raises its own limit of files to the hard limit. */
void doctor_check_limits(const struct doctor_host *host, int arg, struct doctor_finding *ret)
{
    struct rlimit files, processes;
    (void)host;
    (void)arg;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && getrlimit(RLIMIT_NPROC, &processes) == 0)
        doctor_judge_limits(files.rlim_max,
                            processes.rlim_cur == RLIM_INFINITY ? UINT64_MAX : processes.rlim_cur, ret);
}
