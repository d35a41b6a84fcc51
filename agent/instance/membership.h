/* SPDX-License-Identifier: MIT */
/* The networks of instances: which addresses they have, and who is in a network. */
#ifndef PIAGENT_INSTANCE_MEMBERSHIP_H
#define PIAGENT_INSTANCE_MEMBERSHIP_H

#include <jansson.h>
#include <stdbool.h>

#include "agent/base/error.h"
#include "agent/seed/network_hook.h"
#include "agent/vm/spec.h"

struct instance;
struct instance_host;
struct lan;

/* Gives the new instance an address in each network of its spec: the one that it names, if no other instance has it, else
 * the next free one. PI_NOT_FOUND for a network that there is not, PI_USAGE, or PI_CONFLICT. */
int membership_resolve(const struct instance_host *host, struct vm_spec *spec, struct pi_error *err);

/* Whether a network of its spec is there, and as it was when the instance was created; or whether the bridge can be used. */
int membership_check_use(const struct instance *instance, const char *text, struct pi_error *err);

/* Whether it may start: its networks are so, no other member that has precedence has its address, and not too many run. PI_CONFLICT. */
int membership_check_start(const struct instance *instance, struct pi_error *err);

/* Why it may not be heard in one of its networks: another member has its address, or the network's switch could not do as it
 * was told. False if there is no reason. */
bool membership_tell_trouble(const struct instance *instance, char *buf, size_t size);

/* Opens the folder of each of its networks that is no bridge, in the order of its spec, for its QEMU. On
 * failure, fds holds those that were opened. */
int membership_open(const struct instance *instance, int fds[VM_NETWORKS_MAX], struct pi_error *err);

/* Fills in what the seed tells the guest of each of its networks, in the order of its spec. Leaves out a network that cannot
 * be used. Returns how many there are. */
size_t membership_seed(const struct instance *instance, struct seed_network ret[VM_NETWORKS_MAX]);

/* Its state, its place in the list, or its networks have changed: its networks' switches are told. */
void membership_changed(const struct instance *instance);

/* The members, as lans.members gives them, each with an address of its own; user is the host. Notes in the other instances
 * that they are left out. */
json_t *membership_list(const struct lan *lan, void *user);

/* PI_CONFLICT if the network has members, who are named. */
int membership_refuse_any(const struct instance_host *host, const struct lan *lan, struct pi_error *err);

/* The network as the API shows it. counters is what the switch answered, or NULL. A new reference; NULL without memory. */
json_t *membership_view(const struct instance_host *host, const struct lan *lan, const json_t *counters);

#endif
