/* SPDX-License-Identifier: MIT */
/*
 * Estimates how long a boot takes. Notes its milestones, compares them with earlier boots, and keeps them when
 * it is ready (boots_file.h).
 */
#ifndef PIAGENT_INSTANCE_MILESTONES_H
#define PIAGENT_INSTANCE_MILESTONES_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/vm/boot_times.h"

struct api_event;
struct instance;

struct milestones {
    struct vm_boot boot;     /* those that were reached */
    uint64_t event_seq;      /* of the event with which the boot began; 0 = none */
    bool slept;              /* its guest was suspended since QEMU's start */
    bool resumed;            /* the boot goes on from a template */
    uint64_t user_data_mark; /* tells one user-data from another */
};

/* Adds an event that may be a milestone to the journal: of the kinds BOOT, LANDMARK, SEED, REPORT and STATE.
 * If it is one, it says how long is left (api_event.left_ms); ready is kept for later boots. */
void milestones_add(struct instance *instance, struct api_event *event);
/* Takes in an event of an earlier agent. */
void milestones_recall(struct instance *instance, const struct api_event *event);

bool milestones_has(const struct instance *instance, enum vm_milestone milestone);
/* The number of the event with which the boot began; 0 = none. */
uint64_t milestones_event_seq(const struct instance *instance);
/* Whether the guest was suspended since QEMU's start. */
bool milestones_has_slept(const struct instance *instance);
/* Whether the boot goes on from a template, and has not begun at the firmware. */
bool milestones_has_resumed(const struct instance *instance);
void milestones_set_user_data(struct instance *instance, const void *data, size_t size);

#endif
