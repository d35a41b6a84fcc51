/* SPDX-License-Identifier: MIT */
#include "agent/instance/fleets_file.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/fields.h"
#include "agent/base/fs.h"
#include "agent/loop/log.h"
#include "agent/vm/spec.h"

#define FLEETS_FILE "fleets.json"
#define FLEETS_MAX  ((size_t)8 << 20)

struct fleets_waiter {
    SLIST_ENTRY(fleets_waiter) entry;
    bool begun; /* what it waits for is being written */
    void (*then)(int result, const struct pi_error *err, void *user);
    void *user;
};

struct fleet_told {
    char join_secret[FLEETS_SECRET_DIGITS + 1];
    json_t *peers;
};

static const struct pi_field told_fields[] = {
    PI_FIELD(fleet_told, join_secret, PI_FIELD_TEXT, .required = true),
    PI_FIELD(fleet_told, peers, PI_FIELD_JSON, .required = true),
    {0},
};

struct peer_elsewhere {
    char name[PI_NAME_MAX + 1], role[PI_NAME_MAX + 1], address[INET_ADDRSTRLEN];
    enum vm_arch arch;
    uint64_t index;
};

static const struct pi_field peer_fields[] = {
    PI_FIELD(peer_elsewhere, name, PI_FIELD_TEXT, .required = true, .check = pi_name_check),
    PI_FIELD(peer_elsewhere, role, PI_FIELD_TEXT, .required = true, .check = pi_name_check),
    PI_FIELD(peer_elsewhere, index, PI_FIELD_U64, .required = true, .min = 1, .max = VM_FLEET_COUNT_MAX),
    PI_ENUM(peer_elsewhere, arch, vm_arch, .required = true),
    PI_FIELD(peer_elsewhere, address, PI_FIELD_TEXT),
    {0},
};

static int check_peers(const json_t *peers, struct pi_error *err)
{
    struct in_addr address;
    const json_t *object;
    size_t i;
    json_auto_t *names = json_object();
    if (!json_is_array(peers))
        return pi_refuse(err, PI_USAGE, "'peers' is not a list");
    if (json_array_size(peers) > FLEETS_ELSEWHERE_MAX)
        return pi_refuse(err, PI_USAGE, "'peers' has %zu items, and may have %d", json_array_size(peers),
                         FLEETS_ELSEWHERE_MAX);
    json_array_foreach(peers, i, object) {
        struct peer_elsewhere peer = {0};
        int r = pi_fields_read(peer_fields, object, false, &peer, err);
        if (r == 0 && peer.address[0] && inet_pton(AF_INET, peer.address, &address) != 1)
            r = pi_refuse(err, PI_USAGE, "its address is not one");
        if (r == 0 && json_object_get(names, peer.name))
            r = pi_refuse(err, PI_USAGE, "another peer is named %s too", peer.name);
        if (r == 0 && json_object_set_new(names, peer.name, json_true()) < 0)
            r = pi_fail(err, ENOMEM, "peers");
        if (r < 0)
            return pi_context(err, r, "peer %zu", i + 1);
    }
    return 0;
}

static int check_told(const json_t *object, struct pi_error *err)
{
    struct fleet_told told = {0};
    int r = pi_fields_read(told_fields, object, false, &told, err);
    if (r == 0 && !pi_is_hex(told.join_secret, FLEETS_SECRET_DIGITS))
        r = pi_refuse(err, PI_USAGE, "'join_secret' is not %d hexadecimal digits", FLEETS_SECRET_DIGITS);
    if (r == 0)
        r = check_peers(told.peers, err);
    pi_fields_done(told_fields, &told);
    return r;
}

static int read_fleets(const struct fleets_file *file, json_t **ret, struct pi_error *err)
{
    pi_auto_buf struct pi_buf text = {0};
    pi_auto_close int fd = pi_dir_open(file->folder, err);
    int r = fd < 0 ? fd : pi_file_read(fd, FLEETS_FILE, FLEETS_MAX, &text, err);
    json_auto_t *document = r == 0 ? pi_json_parse(text.data ? text.data : "", text.size, err) : NULL;
    const char *fleet;
    json_t *told;
    if (!document)
        return r < 0 ? r : -EBADMSG;
    json_object_foreach(document, fleet, told)
        if ((r = check_told(told, err)) < 0)
            return pi_context(err, r, "the fleet %.64s", fleet);
    *ret = json_incref(document);
    return 0;
}

void fleets_file_open(struct fleets_file *file, uv_loop_t *loop, const char *folder, uint64_t *changes)
{
    struct pi_error err;
    *file = (struct fleets_file){.loop = loop, .folder = folder, .changes = changes};
    int r = read_fleets(file, &file->known, &err);
    if (r < 0 && r != -ENOENT)
        log_line("what is known of fleets on other hosts (%s/" FLEETS_FILE
                 ") cannot be read: %s: piagent up tells it again",
                 folder, err.text);
    if (r < 0)
        file->known = json_object();
    file->wanted = json_incref(file->known);
    ++*changes;
}

void fleets_file_leave(struct fleets_file *file)
{
    file->leaving = true;
}

void fleets_file_close(struct fleets_file *file)
{
    json_decref(file->known);
    json_decref(file->wanted);
    *file = (struct fleets_file){0};
}

const json_t *fleets_file_peers(const struct fleets_file *file, const char *fleet)
{
    return json_object_get(json_object_get(file->known, fleet), "peers");
}

const char *fleets_file_secret(const struct fleets_file *file, const char *fleet)
{
    return json_string_value(json_object_get(json_object_get(file->known, fleet), "join_secret"));
}

static void write_fleets_in_thread(uv_work_t *request)
{
    struct fleets_file *file = request->data;
    pi_auto_close int fd = pi_dir_open(file->folder, &file->failure);
    file->result =
        fd < 0 ? fd : pi_file_write(fd, FLEETS_FILE, file->text, strlen(file->text), 0600, &file->failure);
}

/* Those that wait for what was written; after a failure all, because what came later was to be added to it. */
static void answer_waiters(struct fleets_file *file)
{
    SLIST_HEAD(, fleets_waiter) all = {SLIST_FIRST(&file->waiters)};
    struct fleets_waiter *waiter;
    SLIST_INIT(&file->waiters);
    while ((waiter = SLIST_FIRST(&all))) {
        SLIST_REMOVE_HEAD(&all, entry);
        if (!waiter->begun && file->result == 0) {
            SLIST_INSERT_HEAD(&file->waiters, waiter, entry);
            continue;
        }
        waiter->then(file->result, &file->failure, waiter->user);
        free(waiter);
    }
}

static void write_fleets(struct fleets_file *file);

static void on_fleets_written(uv_work_t *request, int status)
{
    struct fleets_file *file = request->data;
    json_t **stale = file->result == 0 ? &file->known : &file->wanted;
    (void)status;
    json_decref(*stale);
    *stale = json_incref(file->result == 0 ? file->writing : file->known);
    json_decref(pi_steal(file->writing));
    explicit_bzero(file->text, strlen(file->text));
    free(pi_steal(file->text));
    if (file->result < 0)
        log_line("what is known of fleets on other hosts is not kept: %s", file->failure.text);
    ++*file->changes;
    answer_waiters(file);
    write_fleets(file);
}

/* One write at a time, the newest only. */
static void write_fleets(struct fleets_file *file)
{
    struct fleets_waiter *waiter;
    if (file->writing || file->wanted == file->known)
        return;
    SLIST_FOREACH(waiter, &file->waiters, entry)
    waiter->begun = true;
    file->writing = json_incref(file->wanted);
    file->text = json_dumps(file->wanted, JSON_COMPACT);
    file->request.data = file;
    uv_queue_work(file->loop, &file->request, write_fleets_in_thread, on_fleets_written);
}

/* A copy with the change, in which what stays is shared. */
static void want_fleet(struct fleets_file *file, const char *fleet, json_t *told)
{
    json_t *wanted = json_copy(file->wanted);
    if (told)
        json_object_set(wanted, fleet, told);
    else
        json_object_del(wanted, fleet);
    json_decref(file->wanted);
    file->wanted = wanted;
}

int fleets_file_tell(struct fleets_file *file, const char *fleet, const json_t *peers, const char *secret,
                     void (*then)(int result, const struct pi_error *err, void *user), void *user,
                     struct pi_error *err)
{
    json_auto_t *told = json_pack("{s:s, s:O}", "join_secret", secret, "peers", peers);
    int r = told ? check_told(told, err) : pi_refuse(err, PI_USAGE, "'peers' is missing");
    if (r < 0)
        return r;
    if (file->wanted == file->known && json_equal(json_object_get(file->known, fleet), told)) {
        then(0, NULL, user);
        return 0;
    }
    struct fleets_waiter *waiter = malloc(sizeof *waiter);
    if (!waiter)
        return pi_fail(err, ENOMEM, "the fleet %s", fleet);
    *waiter = (struct fleets_waiter){.then = then, .user = user};
    SLIST_INSERT_HEAD(&file->waiters, waiter, entry);
    want_fleet(file, fleet, told);
    write_fleets(file);
    return 0;
}

void fleets_file_sweep(struct fleets_file *file, bool (*is_here)(const char *fleet, void *user), void *user)
{
    json_auto_t *before = json_incref(file->wanted);
    const char *fleet;
    json_t *told;
    if (file->leaving)
        return;
    json_object_foreach(before, fleet, told)
        if (!is_here(fleet, user))
            want_fleet(file, fleet, NULL);
    write_fleets(file);
}

bool fleets_file_is_busy(const struct fleets_file *file)
{
    return file->writing != NULL;
}
