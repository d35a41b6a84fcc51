/* SPDX-License-Identifier: MIT */
/*
 * One instance: its record, and a part for everything that goes on around it. Events of all kinds come in
 * through instance_feed(), pass the state function (vm/life.h), and leave as actions. A part's members are
 * touched by the part's own files only; other files call its functions. README.md has the parts in one picture.
 */
#ifndef PIAGENT_INSTANCE_INSTANCE_H
#define PIAGENT_INSTANCE_INSTANCE_H

#include "agent/instance/boot.h"
#include "agent/instance/creation.h"
#include "agent/instance/guest.h"
#include "agent/instance/guest_console.h"
#include "agent/instance/guest_identity.h"
#include "agent/instance/guest_link.h"
#include "agent/instance/host.h"
#include "agent/instance/journal.h"
#include "agent/instance/monitor.h"
#include "agent/instance/network.h"
#include "agent/instance/peers.h"
#include "agent/instance/process.h"
#include "agent/instance/record_store.h"
#include "agent/instance/saved_state.h"
#include "agent/instance/set_up.h"
#include "agent/instance/silence_watch.h"
#include "agent/instance/snapshot.h"
#include "agent/instance/stop.h"
#include "agent/instance/template.h"
#include "agent/vm/record.h"

/* For metrics: how often something has happened since this agent knows the instance. */
struct instance_counts {
    uint64_t boots, console_bytes, seed_requests, reports;
};

struct instance {
    struct instance_host *host;
    LIST_ENTRY(instance) entry; /* in host->instances */
    unsigned refs;              /* the host's own, and one of each stream or request that reads it */
    bool detached;              /* it is in no list any more */
    bool broken;                /* its record cannot be read: it can only be removed */
    unsigned left_out;          /* of which of its networks, by their index: membership.h */
    int dir_fd;                 /* of its folder; -1 = it cannot be opened */
    char *folder;               /* absolute */
    struct vm_record record;
    struct instance_counts counts;

    struct record_store store;
    struct journal journal;
    struct creation creation;
    struct snapshots snapshots;

    /* One run of QEMU. */
    struct process process;
    struct monitor monitor;
    struct stop stop;
    struct network network;
    struct saved_state saved_state;
    struct template_making making;

    /* Its guest. */
    struct guest_console console;
    struct guest guest;
    struct boot boot;
    struct silence_watch silence;
    struct guest_link guest_link;
    struct identity identity;
    struct set_up set_up;
    struct peers peers;
};

/* An instance in the host's list, its folder open. If it was there before, it is listed even if its folder or
 * its logs cannot be opened, which is logged. Takes over *record on success. */
int instance_new(struct instance_host *host, struct vm_record *record, struct instance **ret,
                 struct pi_error *err);
void instance_ref(struct instance *instance);
void instance_unref(struct instance *instance);
/* Takes it out of the list; its memory goes with the last reference. A QEMU that runs goes on. */
void instance_detach(struct instance *instance);

void instance_feed(struct instance *instance, const struct vm_event *event);
/* The same, with the reason for the event. */
void instance_feed_because(struct instance *instance, const struct vm_event *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for a request: 0, or 1 if what it asks for is so already. PI_CONFLICT if the state does not allow
 * it, with what to do instead; of a start also what files_check() and state_load_check() find, of a suspend
 * state_save_check(). */
int instance_request(struct instance *instance, enum vm_event_type type, struct pi_error *err);
/* PI_CONFLICT: its state does not allow a request, with what to do instead. */
int instance_refuse(const struct instance *instance, struct pi_error *err);
/* Carries out actions of the state function, in their order. */
void instance_carry_out(struct instance *instance, unsigned actions);

/* Ends the state of one run, in each part: closes what belongs to it, and forgets what is known of it. QEMU
 * itself goes on. */
void instance_reset(struct instance *instance);
/* A snapshot was restored: the record is another one. Takes it over. */
void instance_replace_record(struct instance *instance, struct vm_record *record);
/* Whether its guest runs now. */
bool instance_runs(const struct instance *instance);

#endif
