/* SPDX-License-Identifier: MIT */
#include "agent/lan/lan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/fields.h"
#include "agent/base/fs.h"
#include "agent/loop/log.h"
#include "agent/loop/loop.h"
#include "agent/net/host_subnets.h"

#define RECORD_MAX ((size_t)64 << 10)
#define ENDING     ".json"
#define GATHER_MS  1 /* what changes in one moment is told at once */

/* A record as it is in its file. Unknown members are passed over. */
struct lan_record {
    char name[LAN_NAME_MAX + 1], subnet[VM_SUBNET_TEXT_SIZE], id[LAN_ID_SIZE];
    uint64_t created_ms;
    struct pi_strv links;
};

static const struct pi_field record_fields[] = {
    PI_FIELD(lan_record, name, PI_FIELD_TEXT, .required = true),
    PI_FIELD(lan_record, subnet, PI_FIELD_TEXT, .required = true),
    PI_FIELD(lan_record, created_ms, PI_FIELD_U64),
    PI_FIELD(lan_record, id, PI_FIELD_TEXT),
    PI_FIELD(lan_record, links, PI_FIELD_STRV, .max = LAN_LINKS_MAX),
    {0},
};

static void name_file(const struct lan *lan, char ret[LAN_NAME_MAX + sizeof ENDING])
{
    snprintf(ret, LAN_NAME_MAX + sizeof ENDING, "%s" ENDING, lan->name);
}

void lan_domain(const char *name, char ret[LAN_DOMAIN_SIZE])
{
    snprintf(ret, LAN_DOMAIN_SIZE, "%.*s.internal", LAN_NAME_MAX, name);
}

int lan_folder(const struct lan *lan, char *ret, size_t size, struct pi_error *err)
{
    int n = snprintf(ret, size, "%s/lan/%s", lan->lans->runtime, lan->name);
    return n > 0 && (size_t)n < size ? 0 : pi_fail(err, ENAMETOOLONG, "%s", lan->lans->runtime);
}

static void lan_free(struct lan *lan)
{
    lan_links_done(lan);
    lan_switch_done(lan);
    free(lan->reason);
    free(lan);
}

static void lan_drop(struct lan *lan)
{
    LIST_REMOVE(lan, entry);
    lan_free(lan);
}

static void insert_by_name(struct lans *lans, struct lan *lan)
{
    struct lan *other = LIST_FIRST(&lans->list);
    if (!other || strcmp(lan->name, other->name) < 0) {
        LIST_INSERT_HEAD(&lans->list, lan, entry);
        return;
    }
    while (LIST_NEXT(other, entry) && strcmp(lan->name, LIST_NEXT(other, entry)->name) > 0)
        other = LIST_NEXT(other, entry);
    LIST_INSERT_AFTER(other, lan, entry);
}

static struct lan *lan_new(struct lans *lans, const char *name)
{
    struct lan *lan = calloc(1, sizeof *lan);
    if (!lan)
        return NULL;
    lan->lans = lans;
    snprintf(lan->name, sizeof lan->name, "%s", name);
    int r = lan_links_init(lan);
    if (lan_switch_init(lan) < 0 || r < 0) {
        lan_free(lan);
        return NULL;
    }
    insert_by_name(lans, lan);
    return lan;
}

static int read_record(struct lan *lan, struct pi_error *err)
{
    char file[LAN_NAME_MAX + sizeof ENDING];
    pi_auto_buf struct pi_buf text = {0};
    struct lan_record record = {0};
    name_file(lan, file);
    int r = pi_file_read(lan->lans->folder_fd, file, RECORD_MAX, &text, err);
    json_auto_t *object = r == 0 ? pi_json_parse(text.data ? text.data : "", text.size, err) : NULL;
    if (r == 0)
        r = object ? pi_fields_read(record_fields, object, true, &record, err) : -EBADMSG;
    if (r == 0 && strcmp(record.name, lan->name) != 0)
        r = pi_refuse(err, PI_FAILED, "it is the record of %s", record.name);
    if (r == 0)
        r = vm_subnet_parse(record.subnet, &lan->subnet, err);
    for (size_t i = 0; r == 0 && i < record.links.count; i++)
        r = pi_host_url_check(record.links.items[i], err);
    lan->created_ms = record.created_ms;
    if (pi_is_hex(record.id, LAN_ID_DIGITS))
        memcpy(lan->links.id, record.id, sizeof lan->links.id);
    if (r < 0)
        pi_fields_done(record_fields, &record);
    lan->links.urls = record.links;
    return r;
}

/* A file of another name is not piagent's. */
static int load_lan(struct lans *lans, const char *file, struct pi_error *err)
{
    char name[LAN_NAME_MAX + 1];
    struct pi_error why;
    size_t length = strlen(file);
    if (!pi_ends_with(file, ENDING) || length - strlen(ENDING) > LAN_NAME_MAX)
        return 0;
    snprintf(name, sizeof name, "%.*s", (int)(length - strlen(ENDING)), file);
    if (pi_name_check(name, NULL) < 0)
        return 0;
    struct lan *lan = lan_new(lans, name);
    if (!lan)
        return pi_fail(err, ENOMEM, "networks");
    if (read_record(lan, &why) == 0)
        return 0;
    log_line("the network %s cannot be used: its record %s/%s: %s", name, lans->folder, file, why.text);
    if (asprintf(&lan->reason,
                 "its record %s/%s is damaged (%s): put a copy of it in its place, then restart the agent",
                 lans->folder, file, why.text) < 0) {
        lan->reason = NULL;
        lan_drop(lan);
        return pi_fail(err, ENOMEM, "networks");
    }
    return 0;
}

static void on_members_changed(void *user)
{
    struct lans *lans = user;
    struct lan *lan;
    LIST_FOREACH(lan, &lans->list, entry)
        if (!lan->reason && !lan->hidden)
            lan_switch_update(lan);
}

int lans_open(struct lans *lans, struct pi_error *err)
{
    LIST_INIT(&lans->list);
    if ((lans->folder_fd = pi_dir_open(lans->folder, err)) < 0)
        return lans->folder_fd;
    pi_temp_sweep(lans->folder_fd);
    pi_auto_closedir DIR *dir = pi_dir_entries(lans->folder_fd, ".");
    if (!dir)
        return pi_fail(err, errno, "%s", lans->folder);
    if (!(lans->timer = timer_new(lans->loop, on_members_changed, lans)))
        return pi_fail(err, ENOMEM, "networks");
    int r = 0;
    for (struct dirent *entry; r == 0 && (entry = readdir(dir));)
        r = load_lan(lans, entry->d_name, err);
    struct lan *lan;
    LIST_FOREACH(lan, &lans->list, entry)
        if (!lan->reason) {
            lan_switch_adopt(lan);
            lan_links_open(lan);
        }
    return r;
}

void lans_leave(struct lans *lans)
{
    timer_free(pi_steal(lans->timer));
}

void lans_close(struct lans *lans)
{
    struct lan *lan;
    lans_leave(lans);
    while ((lan = LIST_FIRST(&lans->list)))
        lan_drop(lan);
    pi_close_p(&lans->folder_fd);
    lans->folder_fd = -1;
}

void lans_members_changed(struct lans *lans)
{
    if (lans->timer && !timer_is_set(lans->timer))
        timer_set(lans->timer, GATHER_MS);
}

static struct lan *find_any(const struct lans *lans, const char *name)
{
    struct lan *lan;
    LIST_FOREACH(lan, &lans->list, entry)
        if (!strcmp(lan->name, name))
            return lan;
    return NULL;
}

struct lan *lans_find(const struct lans *lans, const char *name)
{
    struct lan *lan = find_any(lans, name);
    return lan && !lan->hidden ? lan : NULL;
}

int lans_need(const struct lans *lans, const char *name, struct lan **ret, struct pi_error *err)
{
    struct lan *lan = lans_find(lans, name);
    if (!lan)
        return pi_refuse(err, PI_NOT_FOUND,
                         "there is no network named %s: make it with: piagent network create %s", name, name);
    if (lan->reason)
        return pi_refuse(err, PI_CONFLICT, "the network %s cannot be used: %s", name, lan->reason);
    *ret = lan;
    return 0;
}

/* Creation and removal: the loop decides, a thread writes. */

static int write_lan(const struct lan *lan, struct pi_error *err)
{
    char file[LAN_NAME_MAX + sizeof ENDING];
    struct lan_record record = {.created_ms = lan->created_ms, .links = lan->links.urls};
    snprintf(record.name, sizeof record.name, "%s", lan->name);
    memcpy(record.id, lan->links.id, sizeof record.id);
    vm_subnet_format(&lan->subnet, record.subnet);
    name_file(lan, file);
    json_auto_t *object = pi_fields_write(record_fields, &record);
    pi_auto_free char *text = object ? json_dumps(object, JSON_INDENT(2)) : NULL;
    return text ? pi_file_write(lan->lans->folder_fd, file, text, strlen(text), 0600, err)
                : pi_fail(err, ENOMEM, "cannot write %s", file);
}

static void write_lan_in_thread(uv_work_t *request)
{
    struct lan *lan = request->data;
    lan->result = write_lan(lan, &lan->failure);
}

/* A damaged record may be a folder. piagent removes what a person has put into one no more than it made it. */
static int remove_record(const struct lan *lan, struct pi_error *err)
{
    char file[LAN_NAME_MAX + sizeof ENDING];
    name_file(lan, file);
    int r = unlinkat(lan->lans->folder_fd, file, 0);
    if (r < 0 && errno == EISDIR)
        r = unlinkat(lan->lans->folder_fd, file, AT_REMOVEDIR);
    if (r < 0 && errno == ENOTEMPTY)
        return pi_refuse(
            err, PI_CONFLICT,
            "the record %s/%s is a folder, and not empty: look into it, remove it, then try again",
            lan->lans->folder, file);
    if (r < 0 && errno != ENOENT)
        return pi_fail(err, errno, "cannot remove %s/%s", lan->lans->folder, file);
    return pi_dir_sync(lan->lans->folder_fd, err);
}

static void remove_lan_in_thread(uv_work_t *request)
{
    struct lan *lan = request->data;
    lan->result = remove_record(lan, &lan->failure);
}

static void end_write(struct lan *lan)
{
    lan->lans->writes--;
    lan->hidden = lan->writing = false;
    lan->then(lan, lan->result, &lan->failure, lan->user);
}

static void on_lan_written(uv_work_t *request, int status)
{
    struct lan *lan = request->data;
    (void)status;
    if (lan->result == 0)
        lan_links_open(lan);
    end_write(lan);
    if (lan->result < 0)
        lan_drop(lan);
}

static void on_lan_removed(uv_work_t *request, int status)
{
    struct lan *lan = request->data;
    (void)status;
    end_write(lan);
    if (lan->result < 0)
        return;
    lan_links_close(lan);
    lan_switch_remove(lan);
    lan_drop(lan);
}

static void start_lan_thread(struct lan *lan, uv_work_cb work, uv_after_work_cb after)
{
    lan->lans->writes++;
    lan->request.data = lan;
    uv_queue_work(lan->lans->loop, &lan->request, work, after);
}

/* A network whose record is damaged may have any subnet, and keeps none from others. */
static int check_subnet(const struct lans *lans, const struct vm_subnet *subnet, struct pi_error *err)
{
    static const char first_interface[] = "10.0.2.0/24";
    char text[VM_SUBNET_TEXT_SIZE], other[VM_SUBNET_TEXT_SIZE];
    struct vm_subnet user_network;
    const struct lan *lan;
    vm_subnet_format(subnet, text);
    if (vm_subnet_parse(first_interface, &user_network, NULL) == 0 &&
        vm_subnets_overlap(subnet, &user_network))
        return pi_refuse(err, PI_CONFLICT,
                         "the subnet %s overlaps with %s, which every instance's first interface has", text,
                         first_interface);
    LIST_FOREACH(lan, &lans->list, entry) {
        if (lan->reason || !vm_subnets_overlap(subnet, &lan->subnet))
            continue;
        vm_subnet_format(&lan->subnet, other);
        return pi_refuse(err, PI_CONFLICT, "the subnet %s overlaps with that of the network %s, %s", text,
                         lan->name, other);
    }
    return 0;
}

static int pick_subnet(const struct lans *lans, struct vm_subnet *ret, struct pi_error *err)
{
    pi_auto_free struct vm_subnet *used = NULL;
    const struct lan *lan;
    size_t count = 0, own = 0;
    LIST_FOREACH(lan, &lans->list, entry)
        own++;
    int r = host_subnets_find(own, &used, &count, err);
    if (r < 0)
        return r;
    LIST_FOREACH(lan, &lans->list, entry)
        if (!lan->reason)
            used[count++] = lan->subnet;
    return vm_subnet_pick(used, count, ret, err);
}

static int check_new(const struct lans *lans, const char *name, struct pi_error *err)
{
    int r = pi_name_check(name, err);
    if (r < 0)
        return pi_context(err, r, "the network %.64s", name);
    if (strlen(name) > LAN_NAME_MAX)
        return pi_refuse(err, PI_USAGE, "the network %.64s: a network's name has at most %d characters", name,
                         LAN_NAME_MAX);
    if (find_any(lans, name))
        return pi_refuse(err, PI_CONFLICT, "there is a network named %s already: piagent network ls", name);
    return 0;
}

int lan_create(struct lans *lans, const char *name, const char *subnet_text,
               void (*then)(struct lan *lan, int result, const struct pi_error *err, void *user), void *user,
               struct pi_error *err)
{
    struct vm_subnet subnet;
    int r = check_new(lans, name, err);
    if (r == 0)
        r = subnet_text ? vm_subnet_parse(subnet_text, &subnet, err) : pick_subnet(lans, &subnet, err);
    if (r == 0)
        r = check_subnet(lans, &subnet, err);
    if (r < 0)
        return r;
    struct lan *lan = lan_new(lans, name);
    if (!lan)
        return pi_fail(err, ENOMEM, "cannot create the network %s", name);
    lan->subnet = subnet;
    lan->created_ms = pi_realtime_ms();
    lan->then = then;
    lan->user = user;
    lan->hidden = true;
    start_lan_thread(lan, write_lan_in_thread, on_lan_written);
    return 0;
}

static int refuse_while_writing(const struct lan *lan, struct pi_error *err)
{
    return lan->writing ? pi_refuse(err, PI_CONFLICT, "the network %s is being changed: try again", lan->name)
                        : 0;
}

void lan_remove(struct lan *lan,
                void (*then)(struct lan *lan, int result, const struct pi_error *err, void *user), void *user)
{
    struct pi_error err;
    int r = refuse_while_writing(lan, &err);
    if (r < 0) {
        then(lan, r, &err, user);
        return;
    }
    lan->then = then;
    lan->user = user;
    lan->hidden = true;
    start_lan_thread(lan, remove_lan_in_thread, on_lan_removed);
}

static void swap_urls(struct lan *lan)
{
    struct pi_strv other = lan->other_urls;
    lan->other_urls = lan->links.urls;
    lan->links.urls = other;
}

static void on_links_written(uv_work_t *request, int status)
{
    struct lan *lan = request->data;
    (void)status;
    if (lan->result < 0)
        swap_urls(lan);
    else
        lan_links_open(lan);
    pi_strv_done(&lan->other_urls);
    lans_members_changed(lan->lans);
    end_write(lan);
}

/* The URLs as they are to be. */
static int change_urls(const struct lan *lan, const char *url, bool link, struct pi_strv *ret,
                       struct pi_error *err)
{
    const struct pi_strv *urls = &lan->links.urls;
    bool found = false;
    int r = 0;
    for (size_t i = 0; r == 0 && i < urls->count; i++) {
        bool same = !strcmp(urls->items[i], url);
        found = found || same;
        if (!same || link)
            r = pi_strv_add(ret, urls->items[i]);
    }
    if (link && found)
        return pi_refuse(err, PI_CONFLICT, "the network %s has a link with %s already", lan->name, url);
    if (!link && !found)
        return pi_refuse(err, PI_NOT_FOUND,
                         "the network %s has no link with %.300s: piagent network status %s", lan->name, url,
                         lan->name);
    if (link && urls->count == LAN_LINKS_MAX)
        return pi_refuse(err, PI_CONFLICT, "a network has at most %d links", LAN_LINKS_MAX);
    if (r == 0 && link)
        r = pi_strv_add(ret, url);
    return r < 0 ? pi_fail(err, ENOMEM, "the network %s", lan->name) : 0;
}

int lan_change_links(struct lan *lan, const char *url, bool link,
                     void (*then)(struct lan *lan, int result, const struct pi_error *err, void *user),
                     void *user, struct pi_error *err)
{
    struct lan *usable;
    int r = lans_need(lan->lans, lan->name, &usable, err);
    if (r < 0 || (r = pi_host_url_check(url, err)) < 0 || (r = refuse_while_writing(lan, err)) < 0)
        return r;
    if ((r = change_urls(lan, url, link, &lan->other_urls, err)) < 0) {
        pi_strv_done(&lan->other_urls);
        return r;
    }
    swap_urls(lan);
    lan->writing = true;
    lan->then = then;
    lan->user = user;
    start_lan_thread(lan, write_lan_in_thread, on_links_written);
    return 0;
}
