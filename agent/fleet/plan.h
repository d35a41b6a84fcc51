/* SPDX-License-Identifier: MIT */
/* What has to change for the host to match the file of a fleet. It follows from the file, from what the user asks for, and
 * from what the agent has. Pure. */
#ifndef PIAGENT_FLEET_PLAN_H
#define PIAGENT_FLEET_PLAN_H

#include <jansson.h>

#include "agent/api/types.h"
#include "agent/base/buf.h"
#include "agent/fleet/fleet_file.h"

/* A network that an agent has. */
struct fleet_lan {
    char name[PI_NAME_MAX + 1];
    struct vm_subnet subnet;
    const char *id;      /* NULL: an older agent does not tell */
    const json_t *links; /* with the same network on other hosts, as the agent shows them; may be NULL */
};

/* What the agent of one host has. Borrowed. */
struct fleet_have {
    const struct api_instance
        *instances; /* all of them; those that the file names with VM_SPEC_SHOWN of their spec */
    size_t count;
    const struct fleet_lan *networks;
    size_t network_count;
    uint64_t host_mib; /* the host's memory; 0: it is not checked */
};

/* What is asked for. Borrowed. */
struct fleet_ask {
    char *const *
        names; /* entries and instances of the file, and with them the entries that they are after; none: all */
    size_t name_count;
    const struct pi_strv *recreate; /* the same: made anew */
    bool prune; /* the fleet's instances that the file does not have any more are removed */
};

/* An instance, and what is to be done with it, in this order. */
struct fleet_change {
    char name[PI_NAME_MAX + 1];
    const struct fleet_entry *entry; /* NULL: the file does not have it any more */
    unsigned index;                  /* within the entry, from 1 on */
    size_t host;                     /* its index in fleet.hosts */
    const struct api_instance *now;  /* NULL: there is none */
    bool remove, create, start;
    struct pi_strv differences; /* of one that is left as it is: "memory is 1 GiB, the file says 2 GiB" */
    struct pi_strv updates;     /* the same, of labels and after: they are changed */
    /* Of one that is created: its networks with the addresses that the plan chose. Empty: as its entry says. */
    struct pi_strv networks;
};

/* A network that is to be created on a host. */
struct fleet_new_network {
    const struct fleet_network *network;
    size_t host;
    char subnet[VM_SUBNET_TEXT_SIZE]; /* "": the agent chooses it */
};

/* A network that two hosts have is to be linked. */
struct fleet_new_link {
    const struct fleet_network *network;
    size_t from, to; /* the hosts: the first dials */
};

/* Zeroed memory is a valid, empty one. */
struct fleet_plan {
    struct fleet_new_network *networks;
    size_t network_count;
    struct fleet_new_link *links;
    size_t link_count;
    struct fleet_change
        *changes; /* first those of the file, in its order; also those to which nothing happens */
    size_t count;
};

/*
 * have has one item for each host of the fleet. requests has the request (api_create) of each entry, in the file's order; name,
 * fleet and stopped in it are ignored. Adds an error for each reason not to begin: the name of another instance; ports, addresses
 * and subnets that others have; names that the file does not have; too little memory. An instance that this plan removes is in
 * nobody's way. Give *ret as zeros; free it with fleet_plan_done(), also after a failure. 0, or -ENOMEM.
 */
int fleet_plan_make(const struct fleet *fleet, json_t *const *requests, const struct fleet_have *have,
                    const struct fleet_ask *ask, struct seed_findings *findings, struct fleet_plan *ret);

void fleet_plan_done(struct fleet_plan *plan);
#define pi_auto_plan __attribute__((cleanup(fleet_plan_done)))

/* Tells if nothing is to be done. */
bool fleet_plan_is_empty(const struct fleet_plan *plan);

/* How much of its host's memory an instance made by that request takes, at most. */
uint64_t fleet_request_memory_mib(const json_t *request);

/* What is asked of the agent (api_update) for the labels and after of the entry. A new reference; NULL without memory. */
json_t *fleet_update_request(const struct fleet_entry *entry, const json_t *request);

/* Adds what the instance has, and the entry or its request has otherwise, each as a text; what fleet_update_request() changes to
 * ret_updates. Labels and after have no order. What the agent does not show is not compared: the accelerator, the firmware, the password and the SSH keys; nor which Fedora the
 * newest is. 0, or -ENOMEM. */
int fleet_differences(const struct fleet_entry *entry, json_t *request, const struct api_instance *instance,
                      struct pi_strv *ret, struct pi_strv *ret_updates);

#endif
