/* SPDX-License-Identifier: MIT */
#include "agent/instance/launch.h"

#include <errno.h>
#include <signal.h>

#include "agent/instance/accel.h"
#include "agent/instance/guest_seed.h"
#include "agent/instance/instance.h"
#include "agent/instance/ports.h"
#include "agent/instance/state_load.h"
#include "agent/loop/loop.h"

#define RETRY_MS 50

static void on_launch_retry(void *user)
{
    launch_begin(user);
}

int launch_init(struct instance *instance)
{
    instance->process.launch.timer = timer_new(instance->host->loop, on_launch_retry, instance);
    return instance->process.launch.timer ? 0 : -ENOMEM;
}

void launch_reset(struct instance *instance)
{
    timer_clear(instance->process.launch.timer);
}

void launch_done(struct instance *instance)
{
    timer_free(instance->process.launch.timer);
}

static void launch_failed(struct instance *instance, const struct pi_error *why)
{
    /* A process may hang in the kernel and outlive SIGKILL: like any other QEMU, it is waited for. */
    if (process_is_watched(instance)) {
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_UNUSABLE, .reason = why->text});
        return;
    }
    if (process_is_there(instance)) /* there was no memory for the watch of its end */
        process_signal(instance, SIGKILL);
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_LAUNCH_FAILED, .reason = why->text});
}

int launch_connect(struct instance *instance, struct pi_error *err)
{
    int r = process_watch(instance, err);
    if (r < 0)
        return r;
    guest_link_connect(instance);
    identity_connect(instance);
    r = monitor_connect(instance, err);
    if (r < 0 || !monitor_is_adopting(instance))
        return r < 0 ? r : console_connect(instance, err);
    /* A guest that runs is worth more than its console's output, so it is kept without a console. */
    console_keep_connected(instance);
    return 0;
}

/* QEMU starts only after the record tells of its process: if the agent ends before, the next agent knows of
 * every QEMU. A stop may have come meanwhile. */
static void on_recorded(struct instance *instance, int result, const struct pi_error *why)
{
    struct pi_error err = {0};
    if (result < 0)
        launch_failed(instance, why);
    else if (!vm_life_is_starting(&instance->record.life) || process_go(instance, &err) < 0 ||
             launch_connect(instance, &err) < 0)
        launch_failed(instance, &err);
}

void launch_leave_template(struct instance *instance)
{
    instance->record.template_hardware = instance->record.spec.template;
    instance->record.identity_due = instance->record.set_up_due = false;
}

static int prepare_start(struct instance *instance, struct pi_error *err)
{
    struct vm_record *record = &instance->record;
    enum vm_accel accel = VM_ACCEL_TCG;
    int r = record->life.fell_back ? 0 : accel_choose(instance->host, &record->spec, &accel, err);
    if (r < 0)
        return r;
    record->accel = accel;
    launch_leave_template(instance);
    if (record->spec.template && (r = template_make_ram(instance, err)) < 0)
        return r;
    if ((r = ports_check(instance, err)) == 0 && (r = guest_seed_make(instance, err)) == 0)
        r = process_prepare(instance, err);
    return r;
}

/* Its guest goes on: under the same accelerator, and with the same addresses of its seed. One that resumes from a template is
 * told its own. */
static int prepare_restore(struct instance *instance, struct pi_error *err)
{
    int r = state_load_check(instance, err);
    if (r == 0)
        r = ports_check(instance, err);
    if (r == 0)
        r = (instance->record.identity_due ? guest_seed_make : guest_seed_take_over)(instance, err);
    return r < 0 ? r : process_prepare(instance, err);
}

void launch_begin(struct instance *instance)
{
    struct pi_error err;
    bool restores = instance->record.life.state == VM_RESTORING;
    if (ports_may_linger(instance)) {
        timer_set(instance->process.launch.timer, RETRY_MS);
        return;
    }
    instance_reset(instance); /* forget what the journal told of an earlier run */
    if (!restores)
        boot_forget(instance);
    if ((restores ? prepare_restore : prepare_start)(instance, &err) < 0)
        launch_failed(instance, &err);
    else
        store_save_then(instance, on_recorded);
}

bool launch_is_ahead(const struct instance *instance)
{
    return store_has_due(instance, VM_DO_LAUNCH) || timer_is_set(instance->process.launch.timer);
}
