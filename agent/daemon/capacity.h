/* SPDX-License-Identifier: MIT */
/* What this host has for instances. */
#ifndef PIAGENT_DAEMON_CAPACITY_H
#define PIAGENT_DAEMON_CAPACITY_H

#include "agent/api/types.h"
#include "agent/instance/host.h"

/* Fills arch (a literal), cpus, the host's memory and kvm; what is not known stays 0. */
void capacity_look(const struct instance_host *host, struct api_agent *ret);

/* The memory that running instances may still take. Reads files of /proc for each of them. */
uint64_t capacity_promised_mib(const struct instance_host *host);

#endif
