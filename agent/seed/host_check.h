/* SPDX-License-Identifier: MIT */
/* The cloud-init of this host, where it has one, asked about a cloud-config. */
#ifndef PIAGENT_SEED_HOST_CHECK_H
#define PIAGENT_SEED_HOST_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/base/error.h"
#include "agent/seed/findings.h"

/* How long it may take: it is a Python program, and starts slowly. */
#define SEED_HOST_CHECK_MS 20000

/*
 * Runs "cloud-init schema --annotate" (or, where that breaks down, "cloud-init schema") over the text and
 * adds what it finds in lines that findings says nothing of, as warnings: the guest's cloud-init is another
 * one, so this one's word is no proof. That the text is no YAML is an error: all of them read it with PyYAML.
 * Only where findings has no error, as it would say the same again. Blocking: for the command line. Whether
 * it was asked: a host without cloud-init, or one whose cloud-init is broken or slow, finds nothing.
 */
bool seed_host_check(const char *data, size_t size, struct seed_findings *findings);

#endif
