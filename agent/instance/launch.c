/* SPDX-License-Identifier: MIT */
/* From a record to a running QEMU: its sockets, its process, its monitor. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/environ.h"
#include "agent/base/fs.h"
#include "agent/base/paths.h"
#include "agent/image/use.h"
#include "agent/image/verify.h"
#include "agent/instance/accel.h"
#include "agent/instance/instance.h"
#include "agent/instance/scope.h"
#include "agent/loop/sockets.h"
#include "agent/net/net.h"
#include "agent/vm/argv.h"

#define QEMU_LOG      "qemu.log"
#define QEMU_LOG_MAX  (1 << 20)
#define QEMU_LOG_TAIL 8192
/* The descriptors in QEMU: of its listening sockets (enum instance_socket), of the one that keeps the seeds'
 * port, and of the listening sockets' files. Isolated machines do without the seeds' port: their guests do
 * not come by it, and NET_FD is theirs. */
#define SOCKET_FD    3
#define SEED_PORT_FD 6
#define FILE_FD      7
#define FD_COUNT     (FILE_FD + INSTANCE_SOCKETS)

static void socket_name(const struct instance *instance, enum instance_socket which, char ret[96])
{
    static const char *const suffixes[] = {
        [INSTANCE_QMP] = "qmp", [INSTANCE_CONSOLE] = "console", [INSTANCE_GUEST_AGENT] = "agent"};
    snprintf(ret, 96, "%s.%s", instance->record.spec.name, suffixes[which]);
}

void instance_find_socket(const struct instance *instance, enum instance_socket which,
                          struct instance_place *ret)
{
    snprintf(ret->folder, sizeof ret->folder, "%s", instance->host->runtime);
    socket_name(instance, which, ret->name);
    /* Another user may have made a folder at this path after ours was taken away. */
    pi_auto_close int dir = pi_dir_find(ret->folder, NULL);
    if (dir >= 0 && faccessat(dir, ret->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return;
    /* A name can be taken away, a file that is open cannot: connect(2) goes through the link in /proc. */
    snprintf(ret->folder, sizeof ret->folder, "/proc/%u/fd", (unsigned)instance->record.pid);
    snprintf(ret->name, sizeof ret->name, "%d", FILE_FD + which);
}

int instance_check_sockets(const struct instance *instance, struct pi_error *err)
{
    const char *runtime = instance->host->runtime, *name = instance->record.spec.name;
    size_t taken = strlen(runtime) + strlen("/.console"), max = sizeof((struct sockaddr_un *)0)->sun_path - 1;
    if (taken + strlen(name) <= max)
        return 0;
    return pi_refuse(
        err, PI_HOST,
        "the name %s is too long for the path of a socket in %s, which leaves room for %zu characters: choose a "
        "shorter name, or set XDG_RUNTIME_DIR to a shorter folder",
        name, runtime, max > taken ? max - taken : 0);
}

void instance_clean_sockets(struct instance *instance)
{
    pi_auto_close int dir = open(instance->host->runtime, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; dir >= 0 && i < INSTANCE_SOCKETS; i++) {
        char name[96];
        socket_name(instance, (enum instance_socket)i, name);
        unlinkat(dir, name, 0);
    }
}

/* The command line. */

static int refuse_qemu(enum vm_arch arch, struct pi_error *err)
{
    struct vm_packages packages = vm_qemu_packages(arch);
    return pi_refuse(err, PI_HOST, "%s is not installed: install %s (Debian) or %s (Fedora)",
                     vm_qemu_program(arch), packages.debian, packages.fedora);
}

static int build_argv(struct instance *instance, enum vm_accel accel, bool standalone, struct pi_strv *ret,
                      struct pi_error *err)
{
    const struct vm_spec *spec = &instance->record.spec;
    pi_auto_free char *qemu = NULL;
    struct vm_firmware_files firmware = {0};
    bool uefi = vm_spec_uses_uefi(spec);
    int r = pi_program_find(vm_qemu_program(spec->arch), &qemu, err);
    if (r < 0)
        return refuse_qemu(spec->arch, err);
    if (uefi && (r = vm_firmware_find(spec->arch, NULL, &firmware, err)) < 0)
        return r;
    struct vm_host host = {.qemu = qemu,
                           .folder = instance->folder,
                           .accel = accel,
                           .qmp_fd = SOCKET_FD + INSTANCE_QMP,
                           .console_fd = SOCKET_FD + INSTANCE_CONSOLE,
                           .agent_fd = SOCKET_FD + INSTANCE_GUEST_AGENT,
                           .isolator = instance->host->program,
                           .imds_socket = instance->host->imds_socket,
                           .net_fd = NET_FD,
                           .firmware = uefi ? &firmware : NULL,
                           .standalone = standalone};
    r = vm_argv_build(spec, &host, ret, err);
    vm_firmware_done(&firmware);
    return r;
}

int instance_argv(struct instance *instance, bool standalone, struct pi_strv *ret, struct pi_error *err)
{
    enum vm_accel accel = instance->record.accel;
    int r = vm_state_is_live(instance->record.life.state)
                ? 0
                : accel_choose(instance->host, &instance->record.spec, &accel, err);
    return r < 0 ? r : build_argv(instance, accel, standalone, ret, err);
}

/* The process. */

/* The log's last bytes, as many as are there. */
static size_t read_tail(int fd, off_t size, char tail[QEMU_LOG_TAIL])
{
    ssize_t n = pread(fd, tail, QEMU_LOG_TAIL, size > QEMU_LOG_TAIL ? size - QEMU_LOG_TAIL : 0);
    return n > 0 ? (size_t)n : 0;
}

void instance_trim_log(struct instance *instance)
{
    char tail[QEMU_LOG_TAIL];
    struct stat st;
    pi_auto_close int fd =
        openat(instance->dir_fd, QEMU_LOG, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= QEMU_LOG_MAX)
        return;
    size_t size = read_tail(fd, st.st_size, tail);
    if (ftruncate(fd, 0) == 0) /* QEMU appends: it goes on at the new end */
        (void)pi_write_all(fd, tail, size);
}

static void last_words(struct instance *instance, char *text, size_t size)
{
    char tail[QEMU_LOG_TAIL];
    struct stat st;
    text[0] = '\0';
    pi_auto_close int fd = openat(instance->dir_fd, QEMU_LOG, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0)
        return;
    size_t end = read_tail(fd, st.st_size, tail), start;
    while (end && tail[end - 1] == '\n')
        end--;
    for (start = end; start && tail[start - 1] != '\n'; start--)
        ;
    pi_text_clean(tail + start, end - start, text, size);
}

static void on_ended(void *user)
{
    struct instance *instance = user;
    char how[64] = "no agent saw how", words[384]; /* an adopted one is no child of this agent */
    int code = 0;
    if (pi_reap(instance->pidfd, &code, how, sizeof how) == -EAGAIN)
        return;
    instance->ended_ms = pi_monotonic_ms();
    last_words(instance, words, sizeof words);
    if (!words[0] && code == 128 + SIGKILL && instance->record.spec.memory_max_mib)
        snprintf(words, sizeof words, "the kernel does that at more than --memory-max, here %" PRIu64 " MiB",
                 instance->record.spec.memory_max_mib);
    /* Where KVM cannot set up the vCPUs, QEMU aborts: TCG may do. An exit by itself has another reason, which
     * TCG would share. */
    const struct vm_life *life = &instance->record.life;
    bool aborted = life->state == VM_STARTING && life->rung == VM_RUNG_NONE &&
                   instance->record.accel == VM_ACCEL_KVM && code > 128;
    bool fallback = aborted && instance_may_fall_back(instance);
    bool expected = life->shutdown_seen || life->relaunch ||
                    (life->state == VM_STOPPING && life->rung > VM_RUNG_POWERDOWN);
    char reason[VM_REASON_MAX] = "";
    if (life->cut_off)
        snprintf(reason, sizeof reason,
                 "QEMU was told to end from outside piagent, as a logout or the host's shutdown does, "
                 "and its guest was not powered off%s%s",
                 words[0] ? ": " : "", words);
    else if (fallback)
        journal_note(instance, "QEMU cannot use KVM on this host (%s): starting it afresh under TCG", how);
    else if (aborted)
        snprintf(reason, sizeof reason,
                 "QEMU cannot use KVM on this host (%s): leave --accel out, or say --accel tcg", how);
    else if (!expected)
        snprintf(reason, sizeof reason, "QEMU ended (%s)%s%s", how, words[0] ? ": " : "", words);
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_EXITED,
                                               .fallback = fallback,
                                               .reason = reason[0] ? reason : NULL});
}

static int remember(struct instance *instance, struct pi_error *err)
{
    struct vm_record *record = &instance->record;
    struct pi_identity id;
    int r = pi_identify(instance->child.pid, &id, err);
    if (r < 0)
        return r;
    record->pid = (uint64_t)id.pid;
    record->start_ticks = id.start_ticks;
    snprintf(record->boot_id, sizeof record->boot_id, "%s", id.boot_id);
    return 0;
}

static int spawn(struct instance *instance, struct pi_strv *argv, int fds[FD_COUNT], struct pi_error *err)
{
    pi_auto_close int log = openat(instance->dir_fd, QEMU_LOG,
                                   O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (log < 0)
        return pi_fail(err, errno, "cannot write %s", QEMU_LOG);
    pi_auto_strv struct pi_strv environment = {0};
    if (pi_environ_add(pi_environ_is_common, &environment) < 0)
        return pi_fail(err, ENOMEM, "cannot start %s", argv->items[0]);
    fds[STDOUT_FILENO] = fds[STDERR_FILENO] = log;
    if (!instance->record.spec.isolate)
        fds[SEED_PORT_FD] = instance->host->seed_port_fd;
    struct pi_spawn how = {.argv = (const char *const *)argv->items,
                           .fds = fds,
                           .fd_count = FD_COUNT,
                           .environ_ = (const char *const *)environment.items,
                           .new_session = true};
    int r = pi_child_new(&how, &instance->child, err);
    return r < 0 ? r : remember(instance, err);
}

/* Binds one, and opens its file, by which it can be connected to also when its name is gone. */
static int open_socket(const struct instance *instance, enum instance_socket which, int fds[FD_COUNT],
                       struct pi_error *err)
{
    char name[96], path[PATH_MAX];
    const char *runtime = instance->host->runtime;
    socket_name(instance, which, name);
    snprintf(path, sizeof path, "%s/%s", runtime, name);
    if ((fds[SOCKET_FD + which] = socket_listen_unix(runtime, name, err)) < 0)
        return fds[SOCKET_FD + which];
    fds[FILE_FD + which] = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    return fds[FILE_FD + which] < 0 ? pi_fail(err, errno, "cannot open %s", path) : 0;
}

static int start_process(struct instance *instance, struct pi_error *err)
{
    pi_auto_strv struct pi_strv argv = {0};
    int fds[FD_COUNT] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    int r = build_argv(instance, instance->record.accel, false, &argv, err);
    if (r == 0)
        r = scope_enter(&instance->record.spec, &argv, err);
    if (r < 0)
        return r;
    host_need_runtime(instance->host);
    pi_auto_close int runtime = pi_dir_open(instance->host->runtime, err);
    if (runtime < 0)
        return runtime;
    for (int i = 0; r == 0 && i < INSTANCE_SOCKETS; i++)
        r = open_socket(instance, (enum instance_socket)i, fds, err);
    if (r == 0)
        r = spawn(instance, &argv, fds, err);
    for (int i = 0; i < INSTANCE_SOCKETS; i++) {
        pi_close_p(&fds[SOCKET_FD + i]);
        pi_close_p(&fds[FILE_FD + i]);
    }
    return r;
}

void instance_forget_boot(struct instance *instance)
{
    struct vm_record *record = &instance->record;
    record->cloud_init_stage[0] = record->cloud_init_result[0] = '\0';
    record->held_result[0] = record->silence[0] = '\0';
    record->ready_ms = 0;
    pi_strv_done(&record->failed_modules);
    instance->clock_off_ms = 0; /* a boot takes the time from the machine's own clock */
    record->power_change = record->disk_full = record->cloud_init_died = false;
    instance->unwatched = instance->stuck = instance->begins_again = false;
}

void instance_tell_boot(struct instance *instance, const char *how)
{
    instance->landmarks = (struct vm_landmarks){0};
    instance->boot_told = true;
    silence_begin(instance);
    journal_add(instance, &(struct api_event){.kind = API_EVENT_BOOT, .text = (char *)how});
}

/* The overlay is worth nothing without the image below it, and nobody's word vouches for one that changed. */
static int check_image(const struct instance *instance, struct pi_error *err)
{
    const struct vm_spec *spec = &instance->record.spec;
    if (!spec->image.path)
        return pi_refuse(err, PI_CONFLICT, "%s has no image yet: it is being created", spec->name);
    int r = image_check(spec->image.path, spec->image.sha256, err);
    if (r == -ENOENT)
        return pi_refuse(err, PI_NOT_FOUND,
                         "its image %s (SHA-256 %.12s) is not in the store any more: fetch it again with "
                         "piagent image fetch, then start the machine",
                         spec->image.name, spec->image.sha256);
    if (r == 0)
        image_use_renew(spec->image.path, spec->image.sha256, instance->folder);
    return r;
}

/* QEMU would tell it in its own words, after the start. */
static int check_file(const struct instance *instance, const char *what, const char *file,
                      struct pi_error *err)
{
    const char *name = instance->record.spec.name;
    pi_auto_close int fd = openat(instance->dir_fd, file, O_RDWR | O_CLOEXEC);
    if (fd >= 0)
        return 0;
    if (errno == ENOENT)
        return pi_refuse(
            err, PI_NOT_FOUND,
            "its %s %s/%s is gone: put a copy of it back, or remove the machine with: piagent rm %s", what,
            instance->folder, file, name);
    return pi_refuse(err, PI_FAILED,
                     "its %s %s/%s cannot be opened (%s): let yourself read and write it, put a copy in its "
                     "place, or remove the machine with: piagent rm %s",
                     what, instance->folder, file, strerror(errno), name);
}

int instance_check_files(const struct instance *instance, struct pi_error *err)
{
    int r = check_image(instance, err);
    if (r == 0)
        r = check_file(instance, "disk", VM_DISK_FILE, err);
    if (r == 0 && vm_spec_uses_uefi(&instance->record.spec))
        r = check_file(instance, "store of UEFI variables", VM_VARS_FILE, err);
    return r;
}

int instance_launch(struct instance *instance, struct pi_error *err)
{
    struct vm_record *record = &instance->record;
    enum vm_accel accel = VM_ACCEL_TCG;
    int r;
    instance_forget_boot(instance);
    instance->sign_seen = instance->adopting = instance->boot_told = false;
    instance->link_since_ms = instance->link_delay_ms = 0;
    instance->powerdowns_sent = 0;
    if (!record->life.fell_back && (r = accel_choose(instance->host, &record->spec, &accel, err)) < 0)
        return r;
    record->accel = accel;
    if ((r = instance_check_ports(instance, err)) == 0 && (r = instance_make_seed(instance, err)) == 0)
        r = start_process(instance, err);
    return r;
}

int instance_run_child(struct instance *instance, struct pi_error *err)
{
    int r = pi_child_go(&instance->child, &instance->pidfd);
    if (r < 0)
        return pi_fail(err, -r, "cannot start %s", vm_qemu_program(instance->record.spec.arch));
    return instance_connect(instance, err);
}

/* The console. */

static void on_landmark(enum vm_landmark landmark, const char *line, size_t length, void *user)
{
    struct instance *instance = user;
    char text[VM_LANDMARK_LINE];
    pi_text_clean(line, length, text, sizeof text);
    if (instance->stuck)
        trouble_over(instance);
    silence_begin(instance);
    journal_add(instance, &(struct api_event){.kind = API_EVENT_LANDMARK,
                                              .landmark = (char *)vm_landmark_names[landmark],
                                              .text = text});
}

void instance_keep_hints(struct instance *instance)
{
    struct vm_record *record = &instance->record;
    const struct vm_landmarks *landmarks = &instance->landmarks;
    if (record->disk_full == landmarks->disk_full && record->cloud_init_died == landmarks->cloud_init_died)
        return;
    record->disk_full = landmarks->disk_full;
    record->cloud_init_died = landmarks->cloud_init_died;
    instance_save(instance);
}

static void on_console(const char *bytes, size_t size, void *user)
{
    struct instance *instance = user;
    instance_sign(instance);
    instance->printed_ms = instance->last_sign_ms;
    /* It may speak before QEMU has answered that it runs. */
    if (instance->record.life.state == VM_STARTING && !instance->boot_told)
        instance_tell_boot(instance, "started");
    if (instance->record.life.state != VM_READY || instance->landmarks.reached < VM_LANDMARK_LOGIN)
        vm_landmarks_feed(&instance->landmarks, bytes, size, on_landmark, instance);
    instance_keep_hints(instance);
    trouble_heard(instance);
    /* A full disk loses console output, never the guest. */
    if (logfile_append(&instance->console_log, bytes, size) == 0)
        host_wake(instance->host, &instance->console_log);
}

static int connect_console(struct instance *instance, struct pi_error *err)
{
    static const struct channel_handler handler = {.output = on_console};
    struct instance_place place;
    if (instance->console)
        return 0;
    instance_find_socket(instance, INSTANCE_CONSOLE, &place);
    return channel_new(instance->host->loop, place.folder, place.name, &handler, instance, &instance->console,
                       err);
}

void instance_connect_console(struct instance *instance)
{
    struct pi_error err;
    int r = connect_console(instance, &err);
    if (r < 0)
        timer_set(instance->link_timer, INSTANCE_CONSOLE_MS);
    if (r < 0 && !instance->console_told)
        journal_note(instance, "its console cannot be read: %s; that is tried again", err.text);
    else if (r == 0 && instance->console_told)
        journal_note(instance, "its console is read again");
    instance->console_told = r < 0;
}

int instance_connect(struct instance *instance, struct pi_error *err)
{
    if (!instance->exit_watch &&
        !(instance->exit_watch = watch_new(instance->host->loop, instance->pidfd, on_ended, instance)))
        return pi_fail(err, ENOMEM, "QEMU");
    instance_connect_guest_agent(instance);
    int r = instance->qmp ? 0 : instance_connect_qmp(instance, err);
    if (r < 0 || !instance->adopting)
        return r < 0 ? r : connect_console(instance, err);
    /* A guest that runs is worth more than what it prints, and can be ended only with its monitor. */
    instance_connect_console(instance);
    return 0;
}
