/* SPDX-License-Identifier: MIT */
/*
 * A network that instances share: its record, which is one file, and its switch (agent/switch), which is a process that
 * runs as long as a member does. A member is an instance that was made with the network; whoever has the instances tells
 * which these are. Nothing here knows an instance.
 */
#ifndef PIAGENT_LAN_LAN_H
#define PIAGENT_LAN_LAN_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/queue.h>
#include <uv.h>

#include "agent/base/error.h"
#include "agent/lan/lan_links.h"
#include "agent/lan/lan_switch.h"
#include "agent/vm/subnet.h"

/* Shorter than an instance's: it is a part of paths of sockets, and of the members' domain. */
#define LAN_NAME_MAX VM_NETWORK_NAME_MAX

struct lans;

struct lan {
    LIST_ENTRY(lan) entry;
    struct lans *lans;
    char name[LAN_NAME_MAX + 1];
    struct vm_subnet subnet;
    uint64_t created_ms;
    char *reason; /* why its record cannot be used; NULL = it can */
    bool hidden;  /* it is being created or removed: its name is taken, and nobody can use it */
    struct lan_switch link;
    struct lan_links links;

    bool writing;              /* a thread writes its links: it is not changed or removed meanwhile */
    struct pi_strv other_urls; /* meanwhile the links as they were */
    uv_work_t request;
    void (*then)(struct lan *lan, int result, const struct pi_error *err, void *user);
    void *user;
    int result;
    struct pi_error failure;
};

struct lans {
    uv_loop_t *loop;
    const char *folder;  /* of the records, absolute */
    const char *runtime; /* the folder of sockets */
    const char *program; /* this executable */
    /* The members of a network: an array of {"name", "mac", "address", "plugged"} (agent/switch/control.h), a new
     * reference. "plugged" are those that run. */
    json_t *(*members)(const struct lan *lan, void *user);
    void *user;

    int folder_fd;
    LIST_HEAD(lan_list, lan) list; /* ordered by name */
    struct timer *timer;           /* set: the switches are about to be told of members that have changed */
    unsigned writes;               /* threads that write a record now */
};

/* Reads all records, and takes over the switches that run. A damaged record is logged, and its network is listed with the
 * reason. The caller has set the members before folder_fd. */
int lans_open(struct lans *lans, struct pi_error *err);
/* The agent ends: from now on its instances leave the list, and no switch is told of that. */
void lans_leave(struct lans *lans);
/* Frees all. Switches go on. The loop must have run until .writes is 0. */
void lans_close(struct lans *lans);

/* The network of that name; also one that has a .reason, but none that is hidden. NULL if there is none. */
struct lan *lans_find(const struct lans *lans, const char *name);
/* The same for one that can be used: else PI_NOT_FOUND or PI_CONFLICT, with what to do. */
int lans_need(const struct lans *lans, const char *name, struct lan **ret, struct pi_error *err);

/* Makes a network, with the next free subnet if subnet is NULL. PI_USAGE or PI_CONFLICT; or 0, and then is called when the
 * record is on disk, or could not be written: then the network is gone. */
int lan_create(struct lans *lans, const char *name, const char *subnet,
               void (*then)(struct lan *lan, int result, const struct pi_error *err, void *user), void *user,
               struct pi_error *err);
/* Removes one that has no member: then is called when its record is gone, and it with it, or could not be removed. */
void lan_remove(struct lan *lan,
                void (*then)(struct lan *lan, int result, const struct pi_error *err, void *user),
                void *user);

/* Notes (link) or forgets a host that this network is to be linked with: PI_USAGE, PI_NOT_FOUND or PI_CONFLICT; or 0, and then is
 * called when the record is on disk, or could not be written: then nothing has changed. */
int lan_change_links(struct lan *lan, const char *url, bool link,
                     void (*then)(struct lan *lan, int result, const struct pi_error *err, void *user),
                     void *user, struct pi_error *err);

/* Members have come, gone, started or stopped: soon the switches are started, told or ended. */
void lans_members_changed(struct lans *lans);

/* "lab.internal", where the members' names are. */
#define LAN_DOMAIN_SIZE (LAN_NAME_MAX + sizeof ".internal")
void lan_domain(const char *name, char ret[LAN_DOMAIN_SIZE]);

/* Where the sockets of its members are: RUNTIME/lan/NAME. */
int lan_folder(const struct lan *lan, char *ret, size_t size, struct pi_error *err);

#endif
