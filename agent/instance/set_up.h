/* SPDX-License-Identifier: MIT */
/*
 * The turns of instances that resumed from a template. A guest that has taken its identity accepts SSH. Then its
 * cloud-init has to set it up with its own user-data, which keeps a processor busy for long. If many did that at
 * once, nobody could log in to any of them. So each waits for its turn (record.set_up_due): no other guest has begun
 * to take its identity in the last minute, and there is a place (vm/boot_load.h). A guest that takes its identity
 * has a place, too. If more wait than there are places, first logins get some seconds after the last identity was
 * taken. The instance that has waited longest is the next. Identities and logins of others hold nobody up for more
 * than two minutes.
 *
 * A place is kept in no record. It is free again when its guest is ready, has failed, is silent, stands still or has
 * ended, when it takes little of a processor (it may wait for another guest, which waits for a place), or after two
 * minutes.
 */
#ifndef PIAGENT_INSTANCE_SET_UP_H
#define PIAGENT_INSTANCE_SET_UP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/instance/rest.h"

struct instance;
struct timer;

struct set_up {
    struct timer *timer; /* set while it is the next, and while it has a place */
    uint64_t since_ms;   /* CLOCK_MONOTONIC: this agent has seen it wait since then; 0 = it has not */
    bool unrecorded;     /* its turn could not be recorded: it tries again behind the others */
    bool placed;         /* it may be set up now */
    bool told;           /* that it waits */
    struct rest rest;
};

/* 0 or -ENOMEM. */
int set_up_init(struct instance *instance);
void set_up_reset(struct instance *instance);
void set_up_done(struct instance *instance);

/* Its state has changed, a new agent has taken it over, or its record says that it waits: the instances that may be
 * set up now are told to (identity_release()). */
void set_up_look(struct instance *instance);
/* An earlier agent may have told its guest that it may be set up, or not have come to that. */
void set_up_repeat(struct instance *instance);
/* Its cloud-init shows that it goes on. A guest of an older template does not wait. */
void set_up_heard(struct instance *instance);

bool set_up_waits(const struct instance *instance);
/* What it waits for, for people. False if it does not wait, or is the next. */
bool set_up_waits_for(const struct instance *instance, char *ret, size_t size);

#endif
