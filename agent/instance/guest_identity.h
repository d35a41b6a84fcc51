/* SPDX-License-Identifier: MIT */
/*
 * Tells a guest that has resumed from a template who it is (seed/identity.h says what, and how the guest takes it). As long as
 * it does not know (record.identity_due), it goes on as the template's guest. So an instance whose guest does not take
 * its identity in time is ended, and has failed.
 *
 * A guest may be told twice, by an agent that was killed and by the next one.
 */
#ifndef PIAGENT_INSTANCE_GUEST_IDENTITY_H
#define PIAGENT_INSTANCE_GUEST_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct channel;
struct instance;
struct timer;

#define IDENTITY_LINE_MAX 300

struct identity {
    struct channel *channel; /* NULL: not connected */
    struct timer *timer;     /* for the guest's next line, and for all of them; set while it is being told */
    uint64_t since_ms;       /* CLOCK_MONOTONIC: when it was told */
    unsigned lines;          /* that the guest has sent */
    char line[IDENTITY_LINE_MAX]; /* the one that it is sending */
    size_t length;
    char part[32];                    /* the latest that it has taken */
    char why[IDENTITY_LINE_MAX + 32]; /* it has failed; "" = it has not */
};

/* 0 or -ENOMEM. */
int identity_init(struct instance *instance);
void identity_reset(struct instance *instance);
void identity_done(struct instance *instance);

/* Connects to the port if QEMU has one. Before the saved state is loaded: a guest reads nothing, time and again, from a port
 * that nobody is connected to. */
void identity_connect(struct instance *instance);

/* To be called when its state is on record. If its guest runs, and does not know yet who it is, it is told: an
 * API_EVENT_IDENTITY follows, or VM_EVENT_UNFIT with the reason. */
void identity_tell(struct instance *instance);

/* QEMU does not let it run, so that it cannot be told: VM_EVENT_UNFIT follows. */
void identity_give_up(struct instance *instance, const char *why);

/* Tells a guest that knows who it is, and that this is on record, that it may be set up. Its program ends then: nobody else
 * minds the line. */
void identity_release(struct instance *instance);

/* A QEMU that ran before has answered, or its guest goes on after a save or a load. The agent before may not have come to
 * identity_release(). */
void identity_adopted(struct instance *instance);

/* Its guest boots again, from its disk, and sees on its board who it is. */
void identity_guest_reset(struct instance *instance);

#endif
