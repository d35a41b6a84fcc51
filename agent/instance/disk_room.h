/* SPDX-License-Identifier: MIT */
/* A full disk on the host: QEMU holds the guest, and its failed writes, until it is told to go on. */
#ifndef PIAGENT_INSTANCE_DISK_ROOM_H
#define PIAGENT_INSTANCE_DISK_ROOM_H

#include <stdint.h>

struct instance;
struct timer;

struct disk_room {
    struct timer *timer;         /* looks again */
    uint64_t tried_ms, delay_ms; /* CLOCK_MONOTONIC of the last try to go on; the wait before the next look */
};

/* 0 or -ENOMEM. */
int disk_room_init(struct instance *instance);
void disk_room_done(struct instance *instance);
/* The guest was stopped for a full disk. It goes on by itself when there is room. */
void disk_room_await(struct instance *instance);
/* The state has changed: nobody looks any more. */
void disk_room_forget(struct instance *instance);

#endif
