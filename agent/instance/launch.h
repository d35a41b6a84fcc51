/* SPDX-License-Identifier: MIT */
/* A start: from the record to a QEMU that is connected. */
#ifndef PIAGENT_INSTANCE_LAUNCH_H
#define PIAGENT_INSTANCE_LAUNCH_H

#include <stdbool.h>

#include "agent/base/error.h"

struct instance;
struct timer;

struct launch {
    struct timer *timer; /* set while the start waits for the network of the QEMU before */
};

/* 0 or -ENOMEM. */
int launch_init(struct instance *instance);
void launch_reset(struct instance *instance);
void launch_done(struct instance *instance);

/* Chooses the accelerator, checks the ports, makes the seed and the process, saves the record, and starts
 * QEMU with stopped vCPUs. Then VM_EVENT_LAUNCHED comes (monitor.h), or VM_EVENT_LAUNCH_FAILED, or
 * VM_EVENT_UNUSABLE if there is a process whose end will come. */
void launch_begin(struct instance *instance);
/* Its next guest boots from its disk, on ordinary hardware, and sees on its board who it is; a template stays one. */
void launch_leave_template(struct instance *instance);
/* Whether that has not come as far as a process. */
bool launch_is_ahead(const struct instance *instance);
/* Connects to a QEMU that runs: its end, the guest agent, QMP, the console. One that is adopted may have no
 * console. */
int launch_connect(struct instance *instance, struct pi_error *err);

#endif
