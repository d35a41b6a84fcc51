/* SPDX-License-Identifier: MIT */
/* A new agent finds what the one before it left: it takes over QEMUs that run, and undoes a creation that was
 * cut short. */
#ifndef PIAGENT_INSTANCE_ADOPTION_H
#define PIAGENT_INSTANCE_ADOPTION_H

#include <sys/types.h>

#include "agent/base/error.h"

struct instance_host;

/* Reads the instance's folder of that name, adds it to the host's instances, and takes over its QEMU if one
 * runs. An instance that cannot be read is added as broken; one that was never whole is removed. Both are
 * logged. */
void adoption_load(struct instance_host *host, const char *name);

/* The process of a QEMU that runs from the instance's folder, found by its command line, without the record.
 * 0 if there is none, negative if that cannot be told. */
pid_t adoption_find_qemu(const char *folder, struct pi_error *err);

#endif
