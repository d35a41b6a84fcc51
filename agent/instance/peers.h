/* SPDX-License-Identifier: MIT */
/*
 * The other instances of an instance's fleet, also those on other hosts, as its guest is told: in its meta-data, and in a
 * list that it can ask for as long as it runs. Both are made anew when a guest asks for them and something has changed since.
 */
#ifndef PIAGENT_INSTANCE_PEERS_H
#define PIAGENT_INSTANCE_PEERS_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/error.h"
#include "agent/loop/budget.h"
#include "agent/seed/fleet_data.h"
#include "imds/registry.h"

struct instance;
struct instance_host;
struct vm_record;

struct peers {
    uint64_t told, listed; /* host.fleet_changes when the meta-data and the list were made */
    struct budget asked;   /* a guest may not keep the agent busy */
};

/* Gives a new instance of a fleet its own key, and the join secret of its fellows, or a new one if it is the first.
 * 0 or -errno. */
int peers_enter(const struct instance_host *host, struct vm_record *record, struct pi_error *err);

/* An instance has come or gone, or its state has changed. */
void peers_changed(const struct instance *instance);

/* An instance has gone: what other hosts told of a fleet that it was the last of is forgotten. */
void peers_left(struct instance_host *host);

/* The join secret of the fleet, NULL if no instance of it is here. Borrowed, until the loop runs. */
const char *peers_secret(const struct instance_host *host, const char *fleet);

/* The guest asks for that document. False: too often. */
bool peers_wanted(struct instance *instance, enum imds_document document);

/* For its seed: the fleet, but for peers_url. The peers are the caller's to free; strings are borrowed. 0 or -ENOMEM. */
int peers_tell(struct instance *instance, struct seed_fleet *ret);

/* Serves the list under the instance's key, if it is in a fleet. 0 or -errno. */
int peers_serve(struct instance *instance);

#endif
