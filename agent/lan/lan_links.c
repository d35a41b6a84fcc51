/* SPDX-License-Identifier: MIT */
#include "agent/lan/lan_links.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/base/random.h"
#include "agent/lan/lan.h"
#include "agent/loop/log.h"
#include "agent/loop/loop.h"
#include "agent/loop/sockets.h"

#define LINK_FILE "link"

int lan_links_init(struct lan *lan)
{
    struct lan_links *links = &lan->links;
    *links = (struct lan_links){.listen_fd = -1};
    LIST_INIT(&links->list);
    return pi_random_hex(LAN_ID_DIGITS, links->id);
}

static void stop_listening(struct lan_links *links)
{
    watch_free(pi_steal(links->watch));
    pi_close_p(&links->listen_fd);
    links->listen_fd = -1;
}

static void free_links(struct lan *lan, bool end)
{
    struct lan_link *link;
    while ((link = LIST_FIRST(&lan->links.list)))
        lan_link_free(link, end);
    stop_listening(&lan->links);
}

void lan_links_done(struct lan *lan)
{
    free_links(lan, false);
    pi_strv_done(&lan->links.urls);
}

void lan_links_close(struct lan *lan)
{
    free_links(lan, true);
}

static void on_caller(void *user)
{
    struct lan *lan = user;
    const struct lan_link *link;
    unsigned count = 0;
    pi_auto_close int fd = accept4(lan->links.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    LIST_FOREACH(link, &lan->links.list, entry)
        count++;
    if (fd >= 0 && count < LAN_LINKS_MAX)
        lan_link_accept(lan, &fd);
}

/* Who looks after the folder of sockets may have removed it. */
static void listen_for_links(struct lan *lan)
{
    struct lan_links *links = &lan->links;
    struct pi_error err;
    char folder[PATH_MAX], path[PATH_MAX + sizeof LINK_FILE];
    if (lan_folder(lan, folder, sizeof folder, &err) < 0)
        return;
    snprintf(path, sizeof path, "%s/" LINK_FILE, folder);
    if (links->listen_fd >= 0 && access(path, F_OK) == 0)
        return;
    stop_listening(links);
    pi_auto_close int folder_fd = pi_dir_open(folder, &err);
    links->listen_fd = folder_fd < 0 ? folder_fd : socket_listen_unix(folder, LINK_FILE, &err);
    if (links->listen_fd >= 0)
        links->watch = watch_new(lan->lans->loop, links->listen_fd, on_caller, lan);
    else
        log_line("the network %s cannot be linked from other hosts: %s", lan->name, err.text);
}

static bool has_url(const struct pi_strv *urls, const char *url)
{
    for (size_t i = 0; i < urls->count; i++)
        if (!strcmp(urls->items[i], url))
            return true;
    return false;
}

static bool is_dialed(const struct lan *lan, const char *url)
{
    const struct lan_link *link;
    LIST_FOREACH(link, &lan->links.list, entry)
        if (!strcmp(link->url, url))
            return true;
    return false;
}

void lan_links_open(struct lan *lan)
{
    const struct pi_strv *urls = &lan->links.urls;
    struct lan_link *link, *next;
    listen_for_links(lan);
    for (link = LIST_FIRST(&lan->links.list); link; link = next) {
        next = LIST_NEXT(link, entry);
        if (*link->url && !has_url(urls, link->url))
            lan_link_free(link, true);
    }
    for (size_t i = 0; i < urls->count; i++)
        if (!is_dialed(lan, urls->items[i]))
            lan_link_dial(lan, urls->items[i]);
}

void lan_links_update(struct lan *lan, const json_t *members)
{
    struct lan_link *link, *next;
    pi_auto_free char *hello = lan_hello_render(lan->links.id, &lan->subnet, members);
    listen_for_links(lan);
    for (link = LIST_FIRST(&lan->links.list); link && hello; link = next) {
        next = LIST_NEXT(link, entry);
        if (link->fd < 0 || !strcmp(link->said, hello))
            continue;
        link->delay_ms = 0;
        lan_link_end(link, NULL);
    }
}

void lan_links_lost_switch(struct lan *lan)
{
    struct lan_link *link, *next;
    for (link = LIST_FIRST(&lan->links.list); link; link = next) {
        next = LIST_NEXT(link, entry);
        if (link->given)
            lan_link_end(link, NULL);
    }
}

json_t *lan_links_members(const struct lan *lan)
{
    json_auto_t *all = json_array();
    const struct lan_link *link;
    LIST_FOREACH(link, &lan->links.list, entry)
        if (!all || (link->members && json_array_extend(all, link->members) < 0))
            return NULL;
    return json_incref(all);
}

static json_t *view_link_members(const struct lan_link *link)
{
    json_t *list = json_array();
    const json_t *member;
    size_t i;
    json_array_foreach(link->members, i, member)
        json_array_append_new(list, json_pack("{s:O, s:O, s:O}", "name", json_object_get(member, "name"),
                                              "address", json_object_get(member, "address"), "mac",
                                              json_object_get(member, "mac")));
    return list;
}

json_t *lan_links_view(const struct lan *lan)
{
    json_auto_t *list = json_array();
    const struct lan_link *link;
    LIST_FOREACH(link, &lan->links.list, entry) {
        json_t *object = json_pack("{s:s, s:b, s:b, s:s, s:o}", "host", *link->url ? link->url : link->host,
                                   "connected", link->connected, "dialed_here", *link->url != '\0', "trunk",
                                   link->trunk, "members", view_link_members(link));
        if (*link->reason)
            json_object_set_new(object, "reason", json_string(link->reason));
        if (*link->id)
            json_object_set_new(object, "id", json_string(link->id));
        if (json_array_append_new(list, object) < 0)
            return NULL;
    }
    return json_incref(list);
}
