/* SPDX-License-Identifier: MIT */
/* What keeps an instance from being made or started on this host: all of it, not only the first. */
#ifndef PIAGENT_INSTANCE_CREATION_CHECK_H
#define PIAGENT_INSTANCE_CREATION_CHECK_H

#include "agent/api/types.h"
#include "agent/instance/host.h"

struct instance;

/* Takes a fault. option: of piagent run, without dashes, or NULL; value: that of an option that may be given several times, or
 * NULL. All are borrowed. */
typedef void creation_fault_fn(const char *option, const char *value, const struct pi_error *why, void *user);

/* Chooses its port for SSH, and looks at all that its start needs of the host, and that needs no disk and no network. */
void creation_check_host(struct instance *instance, creation_fault_fn *fault, void *user);

/* The same of an instance that a request would make, and what is known of its image: a list of api_fault. Makes nothing, and does
 * not look whether the name is free. Takes the spec out of the request. A new reference; NULL without memory. */
json_t *creation_check(struct instance_host *host, struct api_create *request);

#endif
