/* SPDX-License-Identifier: MIT */
#include "agent/instance/adoption.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/base/proc.h"
#include "agent/base/text.h"
#include "agent/image/use.h"
#include "agent/instance/guest_seed.h"
#include "agent/instance/instance.h"
#include "agent/loop/log.h"
#include "agent/vm/argv.h"
#include "agent/vm/snapshot_folder.h"

/* Any user can write any command line. (proc_pid_status(5): the first number of "Uid" is the real user.) */
static bool is_of_this_user(const struct pi_buf *status)
{
    const char *uid = status->data ? strstr(status->data, "\nUid:\t") : NULL;
    return uid && strtoul(uid + strlen("\nUid:\t"), NULL, 10) == getuid();
}

/* Whether the process is this user's and has QEMU's option for that file; negative if there is no memory
 * or descriptor left to look with. A process that has ended, or that may not be read, is not this user's
 * QEMU. */
static int is_qemu_of(const char *pid, const char *smbios)
{
    pi_auto_buf struct pi_buf argv = {0}, status = {0};
    int r = pi_proc_read(pid, "cmdline", &argv);
    if (r == 0)
        r = pi_proc_read(pid, "status", &status);
    if (r < 0)
        return r == -EMFILE || r == -ENFILE || r == -ENOMEM ? r : 0;
    if (!is_of_this_user(&status))
        return 0;
    for (const char *arg = argv.data; arg < argv.data + argv.size; arg += strlen(arg) + 1)
        if (pi_starts_with(arg, "file=") && !strcmp(arg + strlen("file="), smbios))
            return 1;
    return 0;
}

pid_t adoption_find_qemu(const char *folder, struct pi_error *err)
{
    static const char failed[] = "piagent cannot tell whether its QEMU runs";
    pi_auto_free char *smbios = vm_path_escape(folder, VM_SMBIOS_FILE);
    if (!smbios)
        return pi_fail(err, ENOMEM, failed);
    pi_auto_closedir DIR *proc = opendir("/proc");
    if (!proc)
        return pi_fail(err, errno, failed);
    for (struct dirent *entry; (entry = readdir(proc));) {
        long pid = strtol(entry->d_name, NULL, 10);
        int r = pid > 0 ? is_qemu_of(entry->d_name, smbios) : 0;
        if (r != 0)
            return r < 0 ? pi_fail(err, -r, failed) : (pid_t)pid;
    }
    return 0;
}

static void feed_end_unseen(struct instance *instance, const char *why)
{
    const struct vm_life *life = &instance->record.life;
    bool wanted = life->relaunch || vm_life_is_saved_whole(life);
    if (wanted)
        journal_note(instance, "%s", why);
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_EXITED, .reason = wanted ? NULL : why});
}

/* Repeats a start that an earlier agent did not finish. */
static void start_anew(struct instance *instance)
{
    struct pi_error err;
    enum vm_state state = instance->record.life.state;
    instance->record.life.state = state == VM_RESTORING ? VM_SAVED : VM_STOPPED;
    if (instance_request(instance, VM_EVENT_START, &err) == 0)
        return;
    instance->record.life.state = state;
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_LAUNCH_FAILED, .reason = err.text});
}

/* Takes over a QEMU that runs. */
static void adopt_qemu(struct instance *instance)
{
    struct pi_error err;
    if (!vm_life_is_saved_whole(&instance->record.life))
        template_thaw(instance);
    monitor_adopt(instance);
    guest_is_up(instance);
    boot_recall_hints(instance);
    silence_begin(instance);
    if (guest_seed_take_over(instance, &err) < 0)
        journal_note(instance, "its seed cannot be served: %s", err.text);
    int r = launch_connect(instance, &err);
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_FOUND});
    guest_recall_end(instance);
    template_state_changed(instance, instance->record.life.state);
    if (r < 0) /* a QEMU that has just ended: the watch of its process will tell */
        monitor_lose(instance, -ECONNRESET, err.text);
}

static void take_over(struct instance *instance)
{
    const struct vm_record *record = &instance->record;
    if (strcmp(record->boot_id, instance->host->boot_id) != 0) {
        feed_end_unseen(instance, "the host was restarted while it ran");
        return;
    }
    int r = process_adopt(instance);
    if (r == 0)
        adopt_qemu(instance);
    else if (r != -ESRCH) /* it may still run: the next agent may be able to tell */
        journal_note(instance, "piagent cannot tell now whether its QEMU (process %d) runs: %s",
                     (int)record->pid, strerror(-r));
    else if (vm_life_is_starting(&record->life))
        start_anew(instance);
    else
        feed_end_unseen(instance, "its QEMU ended while no agent was running");
}

static void resume_life(struct instance *instance)
{
    struct vm_record *record = &instance->record;
    saved_state_sweep(instance);
    snapshot_recall(instance);
    const struct vm_life *life = &record->life;
    bool begun = life->state == VM_STARTING || vm_life_is_loading(life);
    if (begun && !record->pid) { /* whatever it was to end by */
        start_anew(instance);
    } else if (vm_state_is_live(record->life.state)) {
        take_over(instance);
    } else if (creation_is_spent(instance)) {
        creation_throw_away(instance);
    }
}

/* An instance that has neither a record nor a disk was never whole. If it has a disk, the disk belongs to
 * someone, whatever became of the record. */
static bool is_half_made(int dir_fd, int loaded, const struct vm_record *record)
{
    return loaded == 0 ? record->life.state == VM_CREATED
                       : loaded == -ENOENT && faccessat(dir_fd, VM_DISK_FILE, F_OK, 0) < 0;
}

static void remove_half_made(const struct instance_host *host, const char *name)
{
    char folder[PATH_MAX];
    struct pi_error err;
    int r = pi_tree_discard(host->folder_fd, name, &err);
    snprintf(folder, sizeof folder, "%s/%s", host->folder, name);
    if (r == 0)
        image_use_drop_any(host->images, folder);
    log_line("%s: its creation was cut short: %s", name, r == 0 ? "removed" : err.text);
}

static int load_record(struct instance_host *host, const char *name, struct vm_record *ret, bool *broken)
{
    struct pi_error err;
    pi_auto_close int dir = openat(host->folder_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    int r = dir < 0 ? pi_fail(&err, errno, "its folder cannot be opened (it must be one, and no link to one)")
                    : 0;
    if (r == 0) {
        pi_temp_sweep(dir);
        r = vm_restore_finish(dir, &err);
    }
    if (r == 0) {
        r = vm_record_load(dir, ret, &err);
    }
    if (is_half_made(dir, r, ret)) {
        vm_record_done(ret);
        remove_half_made(host, name);
        return -ENOENT;
    }
    if (r == 0 && strcmp(ret->spec.name, name) != 0)
        r = pi_refuse(&err, PI_CONFLICT,
                      "its folder is a copy, or has another name than its record: %s is the instance, and "
                      "piagent rm %s removes this folder",
                      ret->spec.name, name);
    *broken = r < 0;
    if (r < 0) {
        vm_record_done(ret);
        *ret = (struct vm_record){.life.state = VM_LOST};
        snprintf(ret->spec.name, sizeof ret->spec.name, "%s", name);
        pi_text_clean(err.text, strlen(err.text), ret->life.reason, sizeof ret->life.reason);
    }
    return 0;
}

void adoption_load(struct instance_host *host, const char *name)
{
    struct vm_record record = {0};
    struct instance *instance;
    struct pi_error err;
    bool broken = false;
    if (pi_name_check(name, NULL) < 0 || load_record(host, name, &record, &broken) < 0)
        return;
    if (instance_new(host, &record, &instance, &err) < 0) {
        log_line("%s: %s", name, err.text);
        vm_record_done(&record);
        return;
    }
    instance->broken = broken;
    if (broken)
        return;
    const struct vm_image *image = &instance->record.spec.image;
    if (image->path)
        image_use_renew(image->path, image->sha256, instance->folder);
    resume_life(instance);
}
