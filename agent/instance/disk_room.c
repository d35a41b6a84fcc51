/* SPDX-License-Identifier: MIT */
#include "agent/instance/disk_room.h"

#include <errno.h>
#include <sys/statvfs.h>

#include "agent/base/clock.h"
#include "agent/instance/instance.h"
#include "agent/loop/backoff.h"
#include "agent/loop/loop.h"

#define DELAY_MIN_MS 2000
#define DELAY_MAX_MS 60000
#define ROOM_BYTES   ((uint64_t)64 << 20) /* or a 64th of the file system, if that is less */

static bool has_room(const struct instance *instance)
{
    struct statvfs fs;
    if (fstatvfs(instance->dir_fd, &fs) < 0)
        return false;
    uint64_t enough = (uint64_t)fs.f_blocks * fs.f_frsize / 64;
    return (uint64_t)fs.f_bavail * fs.f_frsize >= (enough < ROOM_BYTES ? enough : ROOM_BYTES);
}

static void look_for_room(void *user)
{
    struct instance *instance = user;
    if (monitor_is_usable(instance) && has_room(instance)) {
        journal_note(instance, "there is room on the host's disk again: it goes on");
        instance->monitor.room.tried_ms = pi_monotonic_ms();
        monitor_ask_cont(instance);
    }
    timer_set(instance->monitor.room.timer, instance->monitor.room.delay_ms);
}

int disk_room_init(struct instance *instance)
{
    instance->monitor.room.timer = timer_new(instance->host->loop, look_for_room, instance);
    return instance->monitor.room.timer ? 0 : -ENOMEM;
}

void disk_room_done(struct instance *instance)
{
    timer_free(instance->monitor.room.timer);
}

void disk_room_await(struct instance *instance)
{
    struct disk_room *room = &instance->monitor.room;
    room->delay_ms =
        backoff_next_ms(room->delay_ms, room->tried_ms, pi_monotonic_ms(), DELAY_MIN_MS, DELAY_MAX_MS);
    timer_set(room->timer, room->delay_ms);
}

void disk_room_forget(struct instance *instance)
{
    timer_clear(instance->monitor.room.timer);
}
