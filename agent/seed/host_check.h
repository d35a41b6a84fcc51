/* SPDX-License-Identifier: MIT */
/* Asks this host's cloud-init, if it has one, to check a cloud-config. */
#ifndef PIAGENT_SEED_HOST_CHECK_H
#define PIAGENT_SEED_HOST_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/base/error.h"
#include "agent/seed/findings.h"

/* cloud-init is a Python program, and starts slowly. */
#define SEED_HOST_CHECK_MS 20000

/*
 * Runs "cloud-init schema --annotate" on the text (or "cloud-init schema", if the first crashes). Adds what
 * it finds in lines for which findings has nothing yet. These are warnings, because the guest's cloud-init
 * may be another version. Only invalid YAML is an error, because every version uses PyYAML.
 *
 * Does nothing if findings has an error already: cloud-init would say the same again. Blocks: for the command
 * line. Returns true if cloud-init was asked, false also if it is missing, broken or slow.
 */
bool seed_host_check(const char *data, size_t size, struct seed_findings *findings);

#endif
