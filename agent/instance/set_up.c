/* SPDX-License-Identifier: MIT */
#include "agent/instance/set_up.h"

#include <errno.h>
#include <stdio.h>

#include "agent/base/clock.h"
#include "agent/instance/instance.h"
#include "agent/instance/trouble.h"
#include "agent/loop/loop.h"
#include "agent/vm/boot_load.h"

#define WAIT_MS 1000u /* between two looks of the next one: not every end of a place is told */
/* Ten emulated guests on two processors have taken their identities after half of it. */
#define BARS_MS 60000u
/* Of a processor: an emulated guest that waits takes 0.02. One that works may get no more than a small part of
 * it on a busy host. */
#define REST_SHARE 0.05
/* A first login to an emulated guest takes 3 to 4 s of a processor. */
#define LOGIN_MS 4000u
#define HELD_MS  120000u /* so long the identities and logins of others hold one up */
#define WAITS    "its cloud-init waits for its turn"

static bool takes_identity(const struct instance *instance)
{
    return instance->record.identity_due &&
           (instance_runs(instance) || instance->record.life.state == VM_RESTORING);
}

/* Only in its first minute: a guest that takes longer may hang, or be hostile. Then it only keeps its own place. */
static bool bars_others(const struct instance *instance)
{
    return takes_identity(instance) && pi_realtime_ms() - instance->record.boot_ms < BARS_MS;
}

bool set_up_waits(const struct instance *instance)
{
    return instance->record.set_up_due && instance->record.life.state == VM_RUNNING;
}

static bool has_place(const struct instance *instance)
{
    const struct vm_record *record = &instance->record;
    return instance->set_up.placed && record->life.state == VM_RUNNING && !record->cloud_init_result &&
           !record->silence[0] && !trouble_is_stuck(instance);
}

static bool waited_longer(const struct instance *one, const struct instance *other)
{
    if (!set_up_waits(one) || one == other)
        return false;
    return one->set_up.unrecorded == other->set_up.unrecorded ? one->record.boot_ms < other->record.boot_ms
                                                              : other->set_up.unrecorded;
}

static unsigned load_of(const struct instance *instance)
{
    return vm_boot_load(instance->record.accel != VM_ACCEL_KVM);
}

/* As if someone logged in to each that waits. */
static bool is_time_for_logins(const struct instance_host *host)
{
    const struct instance *one;
    unsigned load = 0;
    LIST_FOREACH(one, &host->instances, entry)
        load += set_up_waits(one) ? load_of(one) : 0;
    return !vm_boot_fits(0, load, host->processors) &&
           pi_monotonic_ms() < host->identified_ms + LOGIN_MS * load / (VM_LOAD_PROCESSOR * host->processors);
}

static bool is_held_up(const struct instance *instance)
{
    const struct instance *one;
    if (instance->set_up.since_ms && pi_monotonic_ms() - instance->set_up.since_ms >= HELD_MS)
        return false;
    LIST_FOREACH(one, &instance->host->instances, entry)
        if (bars_others(one))
            return true;
    return is_time_for_logins(instance->host);
}

static bool finds_place(const struct instance *instance)
{
    const struct instance *one;
    unsigned load = 0;
    LIST_FOREACH(one, &instance->host->instances, entry)
        load += has_place(one) || takes_identity(one) ? load_of(one) : 0;
    return vm_boot_fits(load_of(instance), load, instance->host->processors) && !is_held_up(instance);
}

/* NULL: none waits. */
static struct instance *find_next(const struct instance_host *host)
{
    struct instance *one, *next = NULL;
    LIST_FOREACH(one, &host->instances, entry)
        if (set_up_waits(one) && (!next || waited_longer(one, next)))
            next = one;
    return next;
}

/* Only the next one looks on by itself. */
static void wake_next(const struct instance_host *host)
{
    struct instance *next = find_next(host);
    if (next)
        timer_set(next->set_up.timer, 0);
}

bool set_up_waits_for(const struct instance *instance, char *ret, size_t size)
{
    const struct instance *one;
    unsigned others = 0;
    if (!set_up_waits(instance))
        return false;
    LIST_FOREACH(one, &instance->host->instances, entry)
        others += takes_identity(one) || has_place(one) || waited_longer(one, instance);
    if (others)
        snprintf(ret, size, WAITS ", after %u other instance%s", others, others == 1 ? "" : "s");
    else
        snprintf(ret, size, "its cloud-init waits a while, so that logins come first");
    return others || is_time_for_logins(instance->host);
}

static void give_up_turn(struct instance *instance, bool unrecorded)
{
    instance->set_up.unrecorded = unrecorded;
    instance->set_up.placed = false;
    instance->record.set_up_due = true;
    store_save(instance);
    wake_next(instance->host);
    timer_set(instance->set_up.timer, WAIT_MS); /* also if it is the next */
}

/* The memory of a guest that stands still must not change any more: it may be saved. */
static void on_turn_recorded(struct instance *instance, int result, const struct pi_error *why)
{
    (void)why; /* the store has told */
    if (result < 0 || !instance_runs(instance))
        give_up_turn(instance, result < 0);
    else
        identity_release(instance);
}

static void take_turn(struct instance *instance)
{
    instance->record.set_up_due = false;
    instance->set_up.placed = true;
    instance->set_up.since_ms = 0;
    instance->set_up.rest = (struct rest){0};
    guest_showed_sign(instance); /* while it waited, it had none to show */
    timer_set(instance->set_up.timer, REST_LOOK_MS);
}

static void record_turn(struct instance *instance)
{
    take_turn(instance);
    store_save_then(instance, on_turn_recorded);
    wake_next(instance->host);
}

/* How many are before it changes all the time: set_up_waits_for() counts them. */
static void tell_wait(struct instance *instance)
{
    if (instance->set_up.told)
        return;
    instance->set_up.told = true;
    milestones_add(instance, &(struct api_event){.kind = API_EVENT_QUEUED, .text = (char *)WAITS});
}

static void look_for_turn(struct instance *instance)
{
    bool next = instance == find_next(instance->host);
    if (next && finds_place(instance)) {
        record_turn(instance);
        return;
    }
    if (next)
        timer_set(instance->set_up.timer, WAIT_MS);
    if (!instance->set_up.since_ms)
        instance->set_up.since_ms = pi_monotonic_ms();
    tell_wait(instance);
}

static void on_set_up_timer(void *user)
{
    struct instance *instance = user;
    if (set_up_waits(instance)) {
        look_for_turn(instance);
    } else if (has_place(instance) && !rest_look(instance, REST_SHARE, &instance->set_up.rest)) {
        timer_set(instance->set_up.timer, REST_LOOK_MS);
    } else {
        instance->set_up.placed = false;
        wake_next(instance->host);
    }
}

int set_up_init(struct instance *instance)
{
    instance->set_up.timer = timer_new(instance->host->loop, on_set_up_timer, instance);
    return instance->set_up.timer ? 0 : -ENOMEM;
}

void set_up_reset(struct instance *instance)
{
    struct timer *timer = instance->set_up.timer;
    timer_clear(timer);
    instance->set_up = (struct set_up){.timer = timer};
}

void set_up_done(struct instance *instance)
{
    timer_free(instance->set_up.timer);
}

/* By the timer, because whoever calls may be in the middle of a change of state. */
void set_up_look(struct instance *instance)
{
    if (set_up_waits(instance))
        timer_set(instance->set_up.timer, 0);
    wake_next(instance->host);
}

void set_up_repeat(struct instance *instance)
{
    if (instance->record.set_up_due) {
        set_up_look(instance);
    } else {
        take_turn(instance);
        identity_release(instance);
    }
}

void set_up_heard(struct instance *instance)
{
    if (instance->record.set_up_due)
        record_turn(instance);
}
