/* SPDX-License-Identifier: MIT */
#include "agent/lan/lan_link.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/environ.h"
#include "agent/base/paths.h"
#include "agent/base/proc.h"
#include "agent/base/text.h"
#include "agent/lan/lan.h"
#include "agent/loop/backoff.h"
#include "agent/loop/log.h"
#include "agent/loop/loop.h"

#define HELLO_MS     30000 /* from ssh's start to the other's hello */
#define END_MS       5000  /* for ssh to end once its stream has */
#define FORGET_MS    120000
#define RETRY_MIN_MS 200
#define RETRY_MAX_MS 30000
#define TWIN_REASON  "another link with that host is used"

static void release_process(struct lan_link *link)
{
    watch_free(pi_steal(link->life));
    watch_free(pi_steal(link->spoken));
    pi_close_p(&link->pidfd);
    pi_close_p(&link->words_fd);
    link->pidfd = link->words_fd = -1;
}

/* Links between the same two hosts: each of them dials the other, or one dials by two names. One is used, and the others wait. */
static bool are_twins(const struct lan_link *link, const struct lan_link *other)
{
    return other != link && *link->id && !strcmp(other->id, link->id);
}

static bool has_connected_twin(const struct lan_link *link)
{
    const struct lan_link *other;
    LIST_FOREACH(other, &link->lan->links.list, entry)
        if (other->connected && are_twins(link, other))
            return true;
    return false;
}

/* It has ended: unless it comes back at once, one that waits takes its place. */
static void wake_twins(const struct lan_link *link)
{
    const struct lan_link *other;
    LIST_FOREACH(other, &link->lan->links.list, entry)
        if (*other->url && other->pidfd < 0 && are_twins(link, other))
            timer_set(other->timer, END_MS);
}

static void release_stream(struct lan_link *link, bool end)
{
    if (end && link->connected)
        wake_twins(link);
    if (end && link->fd >= 0)
        shutdown(link->fd, SHUT_RDWR);
    watch_free(pi_steal(link->data));
    pi_close_p(&link->fd);
    link->fd = -1;
    free(pi_steal(link->said));
    pi_buf_done(&link->line);
    link->line = (struct pi_buf){.max = LAN_HELLO_MAX};
    link->connected = link->given = false;
    timer_clear(link->timer);
}

static const char *link_label(const struct lan_link *link)
{
    return *link->url ? link->url : *link->host ? link->host : "a host that dialed";
}

static void note_reason(struct lan_link *link, const char *reason)
{
    char clean[sizeof link->reason];
    pi_text_clean(reason, strlen(reason), clean, sizeof clean);
    if (*clean && strcmp(clean, link->reason) != 0)
        log_line("the link of the network %s with %s: %s", link->lan->name, link_label(link), clean);
    memcpy(link->reason, clean, sizeof clean);
}

static void dial_later(struct lan_link *link)
{
    link->delay_ms =
        backoff_next_ms(link->delay_ms, link->tried_ms, pi_monotonic_ms(), RETRY_MIN_MS, RETRY_MAX_MS);
    timer_set(link->timer, link->delay_ms);
}

void lan_link_end(struct lan_link *link, const char *reason)
{
    if (link->fd < 0)
        return;
    lans_members_changed(link->lan->lans);
    release_stream(link, true);
    note_reason(link, reason ? reason : "");
    if (*link->url) {
        timer_set(link->timer, END_MS);
        return;
    }
    release_process(link);
    json_decref(pi_steal(link->members));
    if (reason)
        timer_set(link->timer, FORGET_MS);
    else
        lan_link_free(link, true);
}

void lan_link_free(struct lan_link *link, bool end)
{
    siginfo_t info;
    release_stream(link, end);
    if (end && *link->url && link->pidfd >= 0 && pi_signal(link->pidfd, SIGKILL) == 0)
        waitid(P_PIDFD, (id_t)link->pidfd, &info, WEXITED);
    release_process(link);
    timer_free(link->timer);
    json_decref(link->members);
    LIST_REMOVE(link, entry);
    free(link);
}

/* The hello. */

/* If both hosts dial, both keep the link that the host with the smaller id dialed. If one of them dials twice: here the first
 * one stays. There the newer one does, because a host that dials anew has lost its connection, whether or not this is seen. */
static bool yields_to(const struct lan_link *link, const struct lan_link *other)
{
    bool is_ours = *link->url != '\0';
    if (is_ours == (*other->url != '\0'))
        return is_ours;
    return is_ours != (strcmp(link->lan->links.id, link->id) < 0);
}

/* Ends the other links with that host. False if one of them is to stay. */
static bool replace_twins(const struct lan_link *link)
{
    struct lan_link *other, *next;
    LIST_FOREACH(other, &link->lan->links.list, entry)
        if (are_twins(link, other) && other->connected && yields_to(link, other))
            return false;
    for (other = LIST_FIRST(&link->lan->links.list); other; other = next) {
        next = LIST_NEXT(other, entry);
        if (!are_twins(link, other))
            continue;
        json_decref(pi_steal(other->members));
        if (!*other->url)
            lan_link_free(other, true);
        else if (other->connected)
            lan_link_end(other, TWIN_REASON);
    }
    return true;
}

static int agree(struct lan_link *link, const struct lan_hello *hello, struct pi_error *err)
{
    const struct lan *lan = link->lan;
    json_auto_t *taken = lan->lans->members(lan, lan->lans->user), *members = NULL;
    json_decref(pi_steal(link->members));
    json_auto_t *others = lan_links_members(lan);
    if (!taken || !others || json_array_extend(taken, others) < 0)
        return pi_fail(err, ENOMEM, "link");
    int r = lan_hello_check(hello, lan->links.id, &lan->subnet, taken, &members, err);
    json_t *member;
    size_t i;
    json_array_foreach(members, i, member)
        if (json_object_set_new(member, "trunk", json_string(link->trunk)) < 0)
            return pi_fail(err, ENOMEM, "link");
    link->members = json_incref(members);
    return r;
}

static void take_hello(struct lan_link *link)
{
    struct lan_hello hello = {0};
    struct pi_error err;
    bool spare = false;
    int r = lan_hello_parse(link->line.data, link->line.size, &hello, &err);
    if (r == 0) {
        memcpy(link->id, hello.id, sizeof link->id);
        memcpy(link->host, hello.host, sizeof link->host);
        spare = !replace_twins(link);
        r = spare ? pi_refuse(&err, PI_CONFLICT, TWIN_REASON) : agree(link, &hello, &err);
        lan_hello_done(&hello);
    }
    if (r < 0) {
        lan_link_end(link, err.text);
        if (spare && !*link->url)
            timer_set(link->timer, 0); /* the other host shows it */
        return;
    }
    watch_free(pi_steal(link->data));
    timer_clear(link->timer);
    link->connected = true;
    *link->reason = '\0';
    log_line("the network %s is linked with %s", link->lan->name, link_label(link));
    lans_members_changed(link->lan->lans);
}

/* Takes no byte after the hello: these are the switch's. A login shell's startup files may print lines before it. Returns
 * whether there may be more of it. */
static bool read_hello(struct lan_link *link)
{
    char bytes[4096];
    ssize_t n = recv(link->fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    if (n <= 0)
        return false;
    const char *end = memchr(bytes, '\n', (size_t)n);
    size_t size = end ? (size_t)(end - bytes) : (size_t)n;
    if (recv(link->fd, bytes, size + (end != NULL), MSG_DONTWAIT) < 0)
        return false;
    if (pi_buf_add(&link->line, bytes, size) < 0) {
        lan_link_end(link, "the other host's first line is too long");
        return false;
    }
    if (!end)
        return true;
    if (link->line.size && link->line.data[0] == '{') {
        take_hello(link);
        return false;
    }
    pi_buf_consume(&link->line, link->line.size);
    return true;
}

static void on_hello(void *user)
{
    struct lan_link *link = user;
    char byte;
    ssize_t n = recv(link->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n > 0)
        read_hello(link);
    else if (n == 0 || errno != EAGAIN)
        watch_free(pi_steal(link->data)); /* the end of the process tells the rest */
}

static int say_hello(struct lan_link *link, struct pi_error *err)
{
    const struct lan *lan = link->lan;
    pi_auto_buf struct pi_buf line = {0};
    json_auto_t *members = lan->lans->members(lan, lan->lans->user);
    link->said = members ? lan_hello_render(lan->links.id, &lan->subnet, members) : NULL;
    if (!link->said || pi_buf_printf(&line, "%s\n", link->said) < 0)
        return pi_fail(err, ENOMEM, "link");
    return send(link->fd, line.data, line.size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)line.size
               ? 0
               : pi_refuse(err, PI_FAILED, "the other side takes no hello");
}

/* The process. */

/* Its last line that is not empty counts. */
static void on_words(void *user)
{
    struct lan_link *link = user;
    char bytes[4096];
    ssize_t n = read(link->words_fd, bytes, sizeof bytes);
    if (n <= 0) {
        if (n == 0)
            watch_free(pi_steal(link->spoken));
        return;
    }
    while (n && strchr("\r\n", bytes[n - 1]))
        n--;
    const char *end = n ? memrchr(bytes, '\n', (size_t)n) : NULL, *line = end ? end + 1 : bytes;
    if (n)
        pi_text_clean(line, (size_t)(bytes + n - line), link->words, sizeof link->words);
}

static void on_dialed_end(struct lan_link *link)
{
    char how[64] = "";
    int code;
    if (pi_reap(link->pidfd, &code, how, sizeof how) == -EAGAIN)
        return;
    while (link->fd >= 0 && !link->connected && read_hello(link))
        ;
    if (link->spoken)
        on_words(link);
    if (link->fd >= 0) {
        char reason[sizeof link->words + 80];
        snprintf(reason, sizeof reason, "%s",
                 *link->words ? link->words
                 : code       ? how
                              : "the other host has ended it");
        lan_link_end(link, reason);
    }
    release_process(link);
    dial_later(link);
}

static void on_link_life(void *user)
{
    struct lan_link *link = user;
    if (*link->url) {
        on_dialed_end(link);
        return;
    }
    while (link->fd >= 0 && !link->connected && read_hello(link))
        ;
    lan_link_end(link, NULL); /* unless it has been refused */
}

static int watch_link(struct lan_link *link, struct pi_error *err)
{
    uv_loop_t *loop = link->lan->lans->loop;
    link->data = watch_new(loop, link->fd, on_hello, link);
    link->life = watch_new(loop, link->pidfd, on_link_life, link);
    timer_set(link->timer, HELLO_MS);
    return link->data && link->life ? say_hello(link, err) : pi_fail(err, ENOMEM, "link");
}

static bool is_for_ssh(const char *setting)
{
    return pi_environ_is_common(setting) || pi_starts_with(setting, "SSH_AUTH_SOCK=");
}

static int add_ssh_words(const struct lan_link *link, struct pi_strv *ret, struct pi_error *err)
{
    pi_auto_free char *ssh = NULL;
    int r = pi_program_find("ssh", &ssh, err);
    if (r < 0 || (r = pi_strv_add(ret, ssh)) < 0)
        return r;
    for (size_t i = 0; r == 0 && pi_host_ssh_options[i]; i++)
        r = pi_strv_add(ret, pi_host_ssh_options[i]);
    const char *const more[] = {"-T", "-oBatchMode=yes", "-oControlPath=none", "--", link->url};
    for (size_t i = 0; r == 0 && i < PI_ARRAY_SIZE(more); i++)
        r = pi_strv_add(ret, more[i]);
    if (r == 0)
        r = pi_strv_addf(ret, "piagent __carry %s", link->lan->name);
    return r < 0 ? pi_fail(err, ENOMEM, "ssh") : 0;
}

static int start_ssh(struct lan_link *link, struct pi_error *err)
{
    pi_auto_strv struct pi_strv argv = {0}, environment = {0};
    int stream[2], words[2];
    pid_t pid;
    int r = add_ssh_words(link, &argv, err);
    if (r < 0)
        return r;
    if (pi_environ_add(is_for_ssh, &environment) < 0)
        return pi_fail(err, ENOMEM, "ssh");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream) < 0)
        return pi_fail(err, errno, "socketpair");
    pi_auto_close int ours = stream[0], theirs = stream[1];
    if (pipe2(words, O_CLOEXEC) < 0)
        return pi_fail(err, errno, "pipe");
    pi_auto_close int heard = words[0], spoken = words[1];
    if (fcntl(ours, F_SETFL, O_NONBLOCK) < 0 || fcntl(heard, F_SETFL, O_NONBLOCK) < 0)
        return pi_fail(err, errno, "fcntl");
    const struct pi_spawn how = {.argv = (const char *const *)argv.items,
                                 .fds = (const int[]){theirs, theirs, spoken},
                                 .fd_count = 3,
                                 .environ_ = (const char *const *)environment.items,
                                 .new_session = true};
    if ((r = pi_spawn(&how, &pid, &link->pidfd, err)) < 0)
        return r;
    link->fd = pi_steal_fd(&ours);
    link->words_fd = pi_steal_fd(&heard);
    link->spoken = watch_new(link->lan->lans->loop, link->words_fd, on_words, link);
    return watch_link(link, err);
}

static void dial(struct lan_link *link)
{
    struct pi_error err;
    if (has_connected_twin(link)) {
        note_reason(link, TWIN_REASON);
        timer_set(link->timer, RETRY_MAX_MS);
        return;
    }
    *link->words = '\0';
    link->tried_ms = pi_monotonic_ms();
    if (start_ssh(link, &err) == 0)
        return;
    if (link->fd >= 0) {
        lan_link_end(link, err.text);
        return;
    }
    note_reason(link, err.text);
    dial_later(link);
}

static void on_link_timer(void *user)
{
    struct lan_link *link = user;
    if (link->fd >= 0)
        lan_link_end(link, *link->words ? link->words : "the other host says nothing");
    else if (link->pidfd >= 0)
        pi_signal(link->pidfd, SIGKILL);
    else if (*link->url)
        dial(link);
    else
        lan_link_free(link, true);
}

static struct lan_link *lan_link_new(struct lan *lan, const char *url)
{
    struct lan_link *link = calloc(1, sizeof *link);
    if (!link)
        return NULL;
    *link = (struct lan_link){.lan = lan, .fd = -1, .pidfd = -1, .words_fd = -1, .line.max = LAN_HELLO_MAX};
    snprintf(link->url, sizeof link->url, "%s", url);
    snprintf(link->trunk, sizeof link->trunk, "link-%u", ++lan->links.count);
    LIST_INSERT_HEAD(&lan->links.list, link, entry);
    if ((link->timer = timer_new(lan->lans->loop, on_link_timer, link)))
        return link;
    lan_link_free(link, false);
    return NULL;
}

struct lan_link *lan_link_dial(struct lan *lan, const char *url)
{
    struct lan_link *link = lan_link_new(lan, url);
    if (link)
        timer_set(link->timer, 0);
    return link;
}

/* The process at the other end, if it is this user's. */
static int open_peer(int fd)
{
    struct ucred peer;
    struct pi_identity id;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.uid != getuid() ||
        pi_identify(peer.pid, &id, NULL) < 0)
        return -ESRCH;
    return pi_identity_open(&id);
}

void lan_link_accept(struct lan *lan, int *fd)
{
    struct pi_error err;
    pi_auto_close int pidfd = open_peer(*fd);
    struct lan_link *link = pidfd < 0 ? NULL : lan_link_new(lan, "");
    if (!link)
        return;
    link->fd = pi_steal_fd(fd);
    link->pidfd = pi_steal_fd(&pidfd);
    if (watch_link(link, &err) < 0)
        lan_link_free(link, true);
}
