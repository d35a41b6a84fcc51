/* A new agent finds what the one before it left: running QEMUs are taken over, a creation that was cut short
 * is undone. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/daemon/instance.h"

static void ended(struct instance *instance, const char *why)
{
    instance_set_reason(instance, "%s", why);
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_EXITED});
}

static void take_over(struct instance *instance)
{
    struct vm_record *record = &instance->record;
    struct pi_error err;
    struct pi_identity id = {.pid = (pid_t)record->pid, .start_ticks = record->start_ticks};
    snprintf(id.boot_id, sizeof id.boot_id, "%s", record->boot_id);
    if (strcmp(record->boot_id, instance->agent->boot_id) != 0) {
        ended(instance, "the host was restarted while it ran");
        return;
    }
    instance->pidfd = pi_identity_open(&id);
    if (instance->pidfd == -ESRCH) {
        ended(instance, "its QEMU ended while no agent was running");
        return;
    }
    if (instance->pidfd < 0) {
        /* Not to be taken for gone: the next agent may see more. */
        journal_note(instance, "whether its QEMU (process %d) runs cannot be told now: %s", (int)id.pid,
                     strerror(-instance->pidfd));
        instance->pidfd = -1;
        return;
    }
    instance->adopting = true;
    instance->sign_seen = true;
    if (instance_serve_seed(instance, &err) < 0)
        journal_note(instance, "its seed cannot be served: %s", err.text);
    if (instance_connect(instance, &err) < 0)
        journal_note(instance, "its QEMU runs, but does not answer: %s", err.text);
    /* A stop goes on from its rung when QMP has answered, and to the next one where it doesn't. */
    if (record->state == VM_STOPPING)
        timer_set(instance->rung_timer, INSTANCE_QMP_MS);
}

/* The agent ended between the start of a QEMU and the record of it: its vCPUs never ran, so it is ended and
 * started anew. */
static bool is_qemu_of(const char *pid, const char *uuid)
{
    char path[64];
    pi_auto_buf struct pi_buf argv = {0};
    snprintf(path, sizeof path, "/proc/%.20s/cmdline", pid);
    if (pi_file_read(AT_FDCWD, path, 64 << 10, &argv, NULL) < 0 || !argv.size)
        return false;
    for (const char *arg = argv.data; arg < argv.data + argv.size; arg += strlen(arg) + 1)
        if (!strcmp(arg, "-uuid"))
            return arg + 6 < argv.data + argv.size && !strcmp(arg + 6, uuid);
    return false;
}

static void end_orphan(const struct instance *instance)
{
    pi_auto_closedir DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc && (entry = readdir(proc));) {
        struct pi_identity id;
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9' ||
            pi_identify((pid_t)strtol(entry->d_name, NULL, 10), &id, NULL) < 0 ||
            !is_qemu_of(entry->d_name, instance->record.spec.uuid))
            continue;
        pi_auto_close int pidfd = pi_identity_open(&id);
        if (pidfd >= 0)
            pi_signal(pidfd, SIGKILL);
    }
}

static void resume_life(struct instance *instance)
{
    struct vm_record *record = &instance->record;
    if (record->state == VM_STARTING && !record->pid) {
        struct pi_error err;
        end_orphan(instance);
        record->state = VM_STOPPED;
        if (instance_request(instance, VM_EVENT_START, &err) < 0)
            agent_log("%s: %s", record->spec.name, err.text);
    } else if (vm_state_is_live((enum vm_state)record->state)) {
        take_over(instance);
    }
}

static int load(struct agent *agent, const char *name, struct vm_record *ret, bool *broken)
{
    struct pi_error err;
    pi_auto_close int dir =
        openat(agent->instances_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0)
        return -errno;
    int r = vm_record_load(dir, ret, &err);
    if (r == -ENOENT || (r == 0 && ret->state == VM_CREATED)) {
        vm_record_done(ret);
        bool removed = pi_tree_remove(agent->instances_fd, name, &err) == 0;
        agent_log("%s: its creation was cut short: %s", name, removed ? "removed" : err.text);
        return -ENOENT;
    }
    *broken = r < 0;
    if (r < 0) {
        vm_record_done(ret);
        *ret = (struct vm_record){.state = VM_LOST};
        snprintf(ret->spec.name, sizeof ret->spec.name, "%s", name);
        pi_text_clean(err.text, strlen(err.text), ret->reason, sizeof ret->reason);
    }
    return 0;
}

static void adopt(struct agent *agent, const char *name)
{
    struct vm_record record = {0};
    struct instance *instance;
    struct pi_error err;
    bool broken;
    if (pi_name_check(name, NULL) < 0 || load(agent, name, &record, &broken) < 0)
        return;
    if (instance_new(agent, &record, &instance, &err) < 0) {
        agent_log("%s: %s", name, err.text);
        vm_record_done(&record);
        return;
    }
    instance->broken = broken;
    if (!broken)
        resume_life(instance);
}

int agent_adopt_all(struct agent *agent, struct pi_error *err)
{
    int fd = openat(agent->instances_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    pi_auto_closedir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        int errnum = errno;
        pi_close_p(&fd);
        return pi_fail(err, errnum, "%s", agent->paths.instances);
    }
    for (struct dirent *entry; (entry = readdir(dir));)
        adopt(agent, entry->d_name);
    return 0;
}
