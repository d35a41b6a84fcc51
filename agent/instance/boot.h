/* SPDX-License-Identifier: MIT */
/* One boot of the guest: its begin, and what is known of it by the console and the events. */
#ifndef PIAGENT_INSTANCE_BOOT_H
#define PIAGENT_INSTANCE_BOOT_H

#include <stdbool.h>

#include "agent/instance/milestones.h"
#include "agent/instance/trouble.h"
#include "agent/vm/landmark.h"

struct api_event;
struct instance;

struct boot {
    struct vm_landmarks landmarks; /* what the console has shown of it */
    bool begin_told;               /* the journal has the boot's begin, since QEMU's start */
    struct milestones milestones;
    struct trouble trouble;
};

void boot_reset(struct instance *instance);
void boot_done(struct instance *instance);

/* A new boot begins: forgets the results and reports of the last one. */
void boot_forget(struct instance *instance);
/* The guest begins at its firmware: how is "started", "reset" or "rebooted"; or it goes on from its template: "resumed". */
void boot_tell(struct instance *instance, const char *how);
/* The same for a boot that QEMU's start began, once a run. */
void boot_tell_begin(struct instance *instance, const char *how);

/* The console has printed. */
void boot_hear_console(struct instance *instance, const char *bytes, size_t size);
/* cloud-init reports: what the console hinted at is not so. */
void boot_hear_report(struct instance *instance);
/* The trouble that the console has shown is over. */
void boot_forget_trouble(struct instance *instance);
/* The landmarks that the console has shown. */
const struct vm_landmarks *boot_landmarks(const struct instance *instance);

/* The journal's older events are not known: if the boot began before, its landmarks are told already. */
void boot_recall_cut(struct instance *instance);
/* Takes in an event of an earlier agent. */
void boot_recall(struct instance *instance, const struct api_event *event);
/* Takes from the record what the agent before kept of the console's hints. */
void boot_recall_hints(struct instance *instance);

#endif
