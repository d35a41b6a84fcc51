/* SPDX-License-Identifier: MIT */
/* QEMU's events: each moves the instance's life, or is told, or is passed over. */
#ifndef PIAGENT_INSTANCE_QEMU_EVENTS_H
#define PIAGENT_INSTANCE_QEMU_EVENTS_H

#include <stdint.h>

#include "agent/loop/budget.h"

struct instance;
struct qmp_event;
struct qmp_status;

struct qemu_events {
    struct budget budget;   /* a hostile QEMU may send them without end */
    uint64_t reset_ms;      /* CLOCK_MONOTONIC of the newest reset, which may come as several events */
    uint64_t disk_noted_ms; /* the same of a failed request that was told: one line tells a burst */
};

void qemu_events_receive(struct instance *instance, const struct qmp_event *event);
/* QEMU stands still, and its status says why. */
void qemu_events_stopped(struct instance *instance, const struct qmp_status *status);
/* The guest has booted anew, and QEMU's event was not heard: does what the event would have done. */
void qemu_events_missed_reset(struct instance *instance);

#endif
