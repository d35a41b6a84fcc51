/* SPDX-License-Identifier: MIT */
/*
 * The cards of an instance that resumes from a template. The saved state knows none but the first, so each card for a
 * network is plugged into its slot (vm/argv.h) when the state is loaded, before the guest goes on.
 */
#ifndef PIAGENT_INSTANCE_CARDS_H
#define PIAGENT_INSTANCE_CARDS_H

struct instance;

/* Plugs in those that are not in yet, and calls done: why is NULL if all are in. Nothing comes if QEMU's monitor is lost or the
 * run ends meanwhile. */
void cards_plug(struct instance *instance, void (*done)(struct instance *instance, const char *why));

#endif
