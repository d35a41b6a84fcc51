/* SPDX-License-Identifier: MIT */
#include "agent/lan/lan_switch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/environ.h"
#include "agent/base/fields.h"
#include "agent/base/fs.h"
#include "agent/base/proc.h"
#include "agent/base/scope.h"
#include "agent/lan/lan.h"
#include "agent/loop/backoff.h"
#include "agent/loop/channel.h"
#include "agent/loop/log.h"
#include "agent/loop/loop.h"
#include "agent/loop/sockets.h"

#define CONTROL_FILE  "control"
#define IDENTITY_FILE "switch.json"
#define ANSWER_MS     10000 /* a switch that takes longer hangs, and is replaced */
#define RETRY_MIN_MS  100
#define RETRY_MAX_MS  10000
#define TALK_MAX      ((size_t)1 << 20)

struct lan_question {
    STAILQ_ENTRY(lan_question) entry;
    lan_answer_fn fn;
    void *user;
};

/* Which process it is, for the next agent. */
struct identity_text {
    uint64_t pid, start_ticks;
    char boot_id[PI_BOOT_ID_LENGTH + 1];
};

static const struct pi_field identity_fields[] = {
    PI_FIELD(identity_text, pid, PI_FIELD_U64, .required = true),
    PI_FIELD(identity_text, start_ticks, PI_FIELD_U64, .required = true),
    PI_FIELD(identity_text, boot_id, PI_FIELD_TEXT, .required = true),
    {0},
};

/* Questions. */

static void answer_oldest(struct lan *lan, const json_t *answer)
{
    struct lan_switch *link = &lan->link;
    struct lan_question *question = STAILQ_FIRST(&link->questions);
    if (!question)
        return;
    STAILQ_REMOVE_HEAD(&link->questions, entry);
    timer_clear(link->answer_timer);
    if (!STAILQ_EMPTY(&link->questions))
        timer_set(link->answer_timer, ANSWER_MS);
    question->fn(answer, question->user);
    free(question);
}

static void on_plan_answer(const json_t *answer, void *user)
{
    (void)answer; /* note_refusal() has it */
    (void)user;
}

/* The program of an earlier agent may not know what this one's plans say. A switch of this agent's own that refuses would
 * refuse again. */
static void replace_adopted(struct lan *lan)
{
    struct lan_switch *link = &lan->link;
    if (!link->adopted || link->ending)
        return;
    log_line("the switch of the network %s (process %d), which an earlier agent started, is replaced",
             lan->name, (int)link->pid);
    link->ending = true;
    pi_signal(link->pidfd, SIGKILL);
}

static void note_refusal(struct lan *lan, const char *failure)
{
    struct lan_switch *link = &lan->link;
    if (STAILQ_EMPTY(&link->questions) || STAILQ_FIRST(&link->questions)->fn != on_plan_answer)
        return;
    free(link->refusal);
    link->refusal = failure ? strdup(failure) : NULL;
    if (failure)
        replace_adopted(lan);
}

static int on_answer_line(char *line, size_t size, void *user)
{
    struct lan *lan = user;
    struct pi_error err;
    json_auto_t *answer = pi_json_parse(line, size, &err);
    const char *failure = json_string_value(json_object_get(answer, "error"));
    if (!answer || failure)
        log_line("the switch of the network %s: %s", lan->name, failure ? failure : err.text);
    note_refusal(lan, failure);
    answer_oldest(lan, failure ? NULL : answer);
    return 0;
}

static void on_switch_output(const char *bytes, size_t size, void *user)
{
    struct lan *lan = user;
    if (pi_lines_feed(&lan->link.lines, bytes, size, on_answer_line, lan) < 0)
        pi_signal(lan->link.pidfd, SIGKILL); /* it speaks nonsense: another one will come */
}

static void on_answer_late(void *user)
{
    const struct lan *lan = user;
    log_line("the switch of the network %s (process %d) does not answer: it is replaced", lan->name,
             (int)lan->link.pid);
    pi_signal(lan->link.pidfd, SIGKILL);
}

/* fd, which stays the caller's, is passed, too; negative = none. */
static int write_request(struct channel *channel, const json_t *request, int fd)
{
    pi_auto_free char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
    pi_auto_buf struct pi_buf line = {0};
    if (!channel)
        return -ENOTCONN;
    if (!text || pi_buf_printf(&line, "%s\n", text) < 0)
        return -ENOMEM;
    return fd < 0 ? channel_type(channel, line.data, line.size)
                  : channel_pass(channel, line.data, line.size, fd);
}

/* As write_request(). On failure fn is not called. */
static int ask_switch(struct lan *lan, const json_t *request, int fd, lan_answer_fn fn, void *user)
{
    struct lan_switch *link = &lan->link;
    struct lan_question *question = malloc(sizeof *question);
    int r = question ? write_request(link->channel, request, fd) : -ENOMEM;
    if (r < 0) {
        free(question);
        return r;
    }
    *question = (struct lan_question){.fn = fn, .user = user};
    STAILQ_INSERT_TAIL(&link->questions, question, entry);
    if (!timer_is_set(link->answer_timer))
        timer_set(link->answer_timer, ANSWER_MS);
    return 0;
}

void lan_switch_count(struct lan *lan, lan_answer_fn fn, void *user)
{
    json_auto_t *request = json_pack("{s:b}", "counters", 1);
    if (ask_switch(lan, request, -1, fn, user) < 0)
        fn(NULL, user);
}

static int tell_plan(struct lan *lan, json_t *members)
{
    char address[INET_ADDRSTRLEN], mac[VM_MAC_TEXT_SIZE], domain[LAN_DOMAIN_SIZE];
    struct in_addr self = vm_subnet_self(&lan->subnet);
    vm_address_format(self, address);
    vm_subnet_mac(self, mac);
    lan_domain(lan->name, domain);
    json_auto_t *request =
        json_pack("{s:{s:s, s:i, s:s, s:s, s:O}}", "plan", "address", address, "prefix",
                  (int)lan->subnet.prefix, "mac", mac, "domain", domain, "members", members);
    return ask_switch(lan, request, -1, on_plan_answer, NULL);
}

/* A stream that the switch did not take is of no use: it is given again when it has been dialed again. */
static void on_trunk_answer(const json_t *answer, void *user)
{
    struct lan *lan = user;
    struct lan_link *link;
    if (answer)
        return;
    LIST_FOREACH(link, &lan->links.list, entry)
        if (link->given)
            lan_link_end(link, "the network's switch did not take it");
}

/* Links that are connected, and whose stream the switch has not got yet. */
static int give_trunks(struct lan *lan)
{
    struct lan_link *link;
    int r = 0;
    LIST_FOREACH(link, &lan->links.list, entry) {
        if (!link->connected || link->given || !json_array_size(link->members))
            continue; /* a trunk that no member is behind is none */
        json_auto_t *request = json_pack("{s:s}", "trunk", link->trunk);
        r = ask_switch(lan, request, link->fd, on_trunk_answer, lan);
        if (r < 0)
            break;
        link->given = true;
    }
    return r;
}

/* The process. */

static void hang_up_switch(struct lan *lan)
{
    struct lan_switch *link = &lan->link;
    channel_free(pi_steal(link->channel));
    pi_lines_done(&link->lines);
    link->lines = (struct pi_lines){.partial.max = TALK_MAX};
    while (!STAILQ_EMPTY(&link->questions))
        answer_oldest(lan, NULL);
}

static void forget_switch(struct lan *lan)
{
    struct lan_switch *link = &lan->link;
    hang_up_switch(lan);
    watch_free(pi_steal(link->watch));
    pi_close_p(&link->pidfd);
    link->pidfd = -1;
    link->pid = 0;
    link->ending = link->adopted = false;
    free(pi_steal(link->refusal));
    lan_links_lost_switch(lan);
}

static void try_again_later(struct lan *lan)
{
    struct lan_switch *link = &lan->link;
    link->delay_ms =
        backoff_next_ms(link->delay_ms, link->tried_ms, pi_monotonic_ms(), RETRY_MIN_MS, RETRY_MAX_MS);
    timer_set(link->retry_timer, link->delay_ms);
}

static void on_switch_ended(void *user)
{
    struct lan *lan = user;
    struct lan_switch *link = &lan->link;
    char how[64] = "no agent saw how"; /* an adopted one is no child of this agent */
    int code = 0;
    if (pi_reap(link->pidfd, &code, how, sizeof how) == -EAGAIN)
        return;
    bool expected = link->ending;
    if (!expected)
        log_line("the switch of the network %s (process %d) has ended: %s", lan->name, (int)link->pid, how);
    forget_switch(lan);
    if (expected)
        lan_switch_update(lan);
    else
        try_again_later(lan);
}

/* A switch that runs, of which pid and pidfd are set. */
static int connect_switch(struct lan *lan, const char *folder, struct pi_error *err)
{
    const struct channel_handler handler = {.input_max = TALK_MAX, .output = on_switch_output};
    struct lan_switch *link = &lan->link;
    link->watch = watch_new(lan->lans->loop, link->pidfd, on_switch_ended, lan);
    int r = link->watch
                ? channel_new(lan->lans->loop, folder, CONTROL_FILE, &handler, lan, &link->channel, err)
                : pi_fail(err, ENOMEM, "switch");
    if (r < 0)
        pi_signal(link->pidfd, SIGKILL);
    return r;
}

static int note_switch(int folder_fd, const struct pi_child *child, struct pi_error *err)
{
    struct pi_identity id;
    int r = pi_identify(child->pid, &id, err);
    if (r < 0)
        return r;
    struct identity_text note = {.pid = (uint64_t)id.pid, .start_ticks = id.start_ticks};
    snprintf(note.boot_id, sizeof note.boot_id, "%s", id.boot_id);
    json_auto_t *object = pi_fields_write(identity_fields, &note);
    pi_auto_free char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    return text ? pi_file_replace(folder_fd, IDENTITY_FILE, text, strlen(text), 0600, err)
                : pi_fail(err, ENOMEM, IDENTITY_FILE);
}

/* The process waits until the note for the next agent is there. */
static int spawn_switch(struct lan *lan, const char *folder, int folder_fd, int control_fd,
                        struct pi_error *err)
{
    const struct scope scope = {.name = lan->name};
    pi_auto_strv struct pi_strv argv = {0}, environment = {0};
    struct pi_child child = PI_CHILD_NONE;
    int fds[] = {control_fd, STDERR_FILENO, STDERR_FILENO};
    if (pi_strv_add(&argv, lan->lans->program) < 0 || pi_strv_add(&argv, "switch") < 0 ||
        pi_environ_add(pi_environ_is_common, &environment) < 0)
        return pi_fail(err, ENOMEM, "switch");
    int r = scope_enter(&scope, &argv, err);
    if (r < 0)
        return r;
    const struct pi_spawn how = {.argv = (const char *const *)argv.items,
                                 .fds = fds,
                                 .fd_count = PI_ARRAY_SIZE(fds),
                                 .environ_ = (const char *const *)environment.items,
                                 .folder = folder,
                                 .new_session = true};
    if ((r = pi_child_new(&how, &child, err)) < 0)
        return r;
    if ((r = note_switch(folder_fd, &child, err)) < 0) {
        pi_child_drop(&child);
        return r;
    }
    pid_t pid = child.pid;
    if ((r = pi_child_go(&child, &lan->link.pidfd)) < 0)
        return pi_fail(err, -r, "cannot start %s", argv.items[0]);
    lan->link.pid = pid;
    return 0;
}

static int start_switch(struct lan *lan, struct pi_error *err)
{
    char folder[PATH_MAX];
    int r = lan_folder(lan, folder, sizeof folder, err);
    if (r < 0)
        return r;
    pi_auto_close int folder_fd = pi_dir_open(folder, err);
    pi_auto_close int control_fd = folder_fd < 0 ? folder_fd : socket_listen_unix(folder, CONTROL_FILE, err);
    if (control_fd < 0)
        return control_fd;
    lan->link.tried_ms = pi_monotonic_ms();
    r = spawn_switch(lan, folder, folder_fd, control_fd, err);
    return r < 0 ? r : connect_switch(lan, folder, err);
}

/* Its end, if it has begun, is awaited by the watch. */
static void start_or_retry(struct lan *lan)
{
    struct pi_error err;
    if (start_switch(lan, &err) == 0)
        return;
    log_line("cannot start the switch of the network %s: %s", lan->name, err.text);
    if (!lan->link.watch) {
        forget_switch(lan);
        try_again_later(lan);
    }
}

/* A switch has nothing to tidy up, and one that hangs ends by SIGKILL only. */
static void end_switch(struct lan *lan)
{
    timer_clear(lan->link.retry_timer);
    lan->link.delay_ms = 0;
    if (lan->link.pidfd < 0 || lan->link.ending)
        return;
    lan->link.ending = true;
    hang_up_switch(lan);
    pi_signal(lan->link.pidfd, SIGKILL);
}

static bool has_running_member(const json_t *members)
{
    const json_t *member;
    size_t i;
    json_array_foreach(members, i, member)
        if (json_is_true(json_object_get(member, "plugged")))
            return true;
    return false;
}

/* A logout, systemd-tmpfiles or a person removes the folder of sockets: the switch and its members have lost each other, and
 * later members would look for another one. */
static bool is_cut_off(const struct lan *lan)
{
    char folder[PATH_MAX], path[PATH_MAX + sizeof CONTROL_FILE];
    if (lan->link.pidfd < 0 || lan_folder(lan, folder, sizeof folder, NULL) < 0)
        return false;
    snprintf(path, sizeof path, "%s/" CONTROL_FILE, folder);
    return faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
}

void lan_switch_update(struct lan *lan)
{
    struct lan_switch *link = &lan->link;
    json_auto_t *members = lan->lans->members(lan, lan->lans->user);
    if (!members)
        return;
    lan_links_update(lan, members);
    if (!has_running_member(members)) {
        end_switch(lan);
        return;
    }
    if (is_cut_off(lan)) {
        log_line(
            "the sockets of the network %s were taken away: its switch is replaced, and the members that run hear "
            "nobody until they are started anew",
            lan->name);
        pi_signal(link->pidfd, SIGKILL);
        return;
    }
    if (link->pidfd < 0 && !timer_is_set(link->retry_timer))
        start_or_retry(lan);
    if (!link->channel)
        return;
    json_auto_t *others = lan_links_members(lan);
    if (!others || json_array_extend(members, others) < 0)
        return;
    if (tell_plan(lan, members) < 0 || give_trunks(lan) < 0)
        timer_set(link->retry_timer, RETRY_MIN_MS); /* it has not yet read what it was told before */
}

static void on_retry_due(void *user)
{
    lan_switch_update(user);
}

static int read_identity(int folder_fd, struct pi_identity *ret)
{
    pi_auto_buf struct pi_buf text = {0};
    struct identity_text note = {0};
    int r = pi_file_read(folder_fd, IDENTITY_FILE, 4096, &text, NULL);
    json_auto_t *object = r == 0 && text.data ? pi_json_parse(text.data, text.size, NULL) : NULL;
    if (!object || pi_fields_read(identity_fields, object, true, &note, NULL) < 0)
        return -ENOENT;
    *ret = (struct pi_identity){.pid = (pid_t)note.pid, .start_ticks = note.start_ticks};
    snprintf(ret->boot_id, sizeof ret->boot_id, "%s", note.boot_id);
    return 0;
}

/* A switch's current folder is its network's. The note alone proves nothing, because the members' QEMUs can write it, too. */
static bool runs_in_folder(pid_t pid, int folder_fd)
{
    char path[32];
    struct stat folder, current;
    snprintf(path, sizeof path, "/proc/%d/cwd", (int)pid);
    return fstat(folder_fd, &folder) == 0 && stat(path, &current) == 0 && folder.st_dev == current.st_dev &&
           folder.st_ino == current.st_ino;
}

void lan_switch_adopt(struct lan *lan)
{
    char folder[PATH_MAX];
    struct pi_identity id;
    struct pi_error err;
    if (lan_folder(lan, folder, sizeof folder, NULL) < 0)
        return;
    pi_auto_close int folder_fd = pi_dir_find(folder, NULL);
    if (folder_fd < 0 || read_identity(folder_fd, &id) < 0)
        return;
    pi_auto_close int pidfd = pi_identity_open(&id);
    if (pidfd < 0)
        return;
    if (!runs_in_folder(id.pid, folder_fd)) {
        log_line("the network %s: process %d is not its switch, though %s/" IDENTITY_FILE
                 " says so: another one is started",
                 lan->name, (int)id.pid, folder);
        return;
    }
    lan->link.adopted = true;
    lan->link.pid = id.pid;
    lan->link.pidfd = pi_steal_fd(&pidfd);
    if (connect_switch(lan, folder, &err) < 0)
        log_line("the switch of the network %s (process %d) is replaced: %s", lan->name, (int)id.pid,
                 err.text);
}

void lan_switch_remove(struct lan *lan)
{
    char runtime[PATH_MAX];
    struct lan_switch *link = &lan->link;
    siginfo_t info;
    if (link->pidfd >= 0 && pi_signal(link->pidfd, SIGKILL) == 0)
        waitid(P_PIDFD, (id_t)link->pidfd, &info, WEXITED);
    snprintf(runtime, sizeof runtime, "%s/lan", lan->lans->runtime);
    pi_auto_close int runtime_fd = pi_dir_find(runtime, NULL);
    if (runtime_fd >= 0)
        pi_tree_remove(runtime_fd, lan->name, NULL);
}

int lan_switch_init(struct lan *lan)
{
    struct lan_switch *link = &lan->link;
    *link = (struct lan_switch){.pidfd = -1, .lines.partial.max = TALK_MAX};
    STAILQ_INIT(&link->questions);
    link->answer_timer = timer_new(lan->lans->loop, on_answer_late, lan);
    link->retry_timer = timer_new(lan->lans->loop, on_retry_due, lan);
    return link->answer_timer && link->retry_timer ? 0 : -ENOMEM;
}

void lan_switch_done(struct lan *lan)
{
    forget_switch(lan);
    timer_free(pi_steal(lan->link.answer_timer));
    timer_free(pi_steal(lan->link.retry_timer));
}
