/* SPDX-License-Identifier: MIT */
#include "agent/instance/template.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/instance/instance.h"
#include "agent/instance/state_save.h"
#include "agent/loop/loop.h"
#include "agent/vm/argv.h"

#define REST_SHARE 0.2 /* of a processor: then its guest has come to rest */

static void end_making(struct instance *instance, const char *why)
{
    instance_feed_because(instance, &(struct vm_event){.type = VM_EVENT_UNFIT}, "%s", why);
}

static void look_for_rest(void *user)
{
    struct instance *instance = user;
    struct pi_error err;
    if (instance->making.why[0]) {
        end_making(instance, instance->making.why);
    } else if (instance->record.life.state == VM_READY) {
        int r = rest_look(instance, REST_SHARE, &instance->making.rest) ? state_save_check(instance, &err)
                                                                        : -EAGAIN;
        if (r == 0)
            instance_feed(instance, &(struct vm_event){.type = VM_EVENT_SAVE});
        else if (r != -EAGAIN && err.kind == PI_HOST)
            end_making(instance, err.text);
        else
            timer_set(instance->making.timer, REST_LOOK_MS);
    }
}

int template_init(struct instance *instance)
{
    instance->making.timer = timer_new(instance->host->loop, look_for_rest, instance);
    return instance->making.timer ? 0 : -ENOMEM;
}

void template_reset(struct instance *instance)
{
    struct timer *timer = instance->making.timer;
    timer_clear(timer);
    instance->making = (struct template_making){.timer = timer};
}

void template_done(struct instance *instance)
{
    timer_free(instance->making.timer);
}

int template_check_request(const struct instance *instance, enum vm_event_type type, struct pi_error *err)
{
    const struct vm_record *record = &instance->record;
    const char *name = record->spec.name;
    if (type == VM_EVENT_SAVE && record->identity_due)
        return pi_refuse(err, PI_CONFLICT, "%s is being told who it is: try again in a moment", name);
    if (!record->spec.template || type == VM_EVENT_KILL || type == VM_EVENT_POWERDOWN)
        return 0;
    if (record->life.state == VM_SAVED)
        return pi_refuse(err, PI_CONFLICT,
                         "%s is a template, and never runs again: piagent run --template %s NAME makes an "
                         "instance of it",
                         name, name);
    if (vm_state_is_live(record->life.state))
        return pi_refuse(err, PI_CONFLICT, "%s is a template that is being made: wait until it is saved",
                         name);
    return pi_refuse(
        err, PI_CONFLICT,
        "%s is a template that was not finished: remove it with piagent template rm %s, and make "
        "it again",
        name, name);
}

int template_make_ram(const struct instance *instance, struct pi_error *err)
{
    const struct vm_spec *spec = &instance->record.spec;
    uint64_t size_bytes = spec->memory_mib << 20, free_bytes;
    char need_text[32], free_text[32];
    int r = pi_space_free(instance->folder, &free_bytes, err);
    if (r < 0)
        return r;
    if (free_bytes < size_bytes)
        return pi_refuse(
            err, PI_HOST, "the memory of the template %s may take %s, and only %s are free at %s", spec->name,
            pi_size_format(size_bytes, need_text), pi_size_format(free_bytes, free_text), instance->folder);
    unlinkat(instance->dir_fd, VM_TEMPLATE_RAM_FILE, 0);
    pi_auto_close int fd =
        openat(instance->dir_fd, VM_TEMPLATE_RAM_FILE, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return fd < 0 || ftruncate(fd, (off_t)size_bytes) < 0 ? pi_fail(err, errno, VM_TEMPLATE_RAM_FILE) : 0;
}

int template_freeze(const struct instance *instance)
{
    return instance->record.spec.template ? process_signal(instance, SIGSTOP) : 0;
}

void template_thaw(const struct instance *instance)
{
    if (instance->record.spec.template)
        process_signal(instance, SIGCONT);
}

/* Its guest must not run on after a save that failed: nobody would save it again. The memory of one that was not saved is of
 * no use. */
void template_state_changed(struct instance *instance, enum vm_state before)
{
    const struct vm_life *life = &instance->record.life;
    struct template_making *making = &instance->making;
    if (!instance->record.spec.template)
        return;
    if (before == VM_SAVING && life->state == VM_RESTORING && life->reason[0]) {
        snprintf(making->why, sizeof making->why, "%s", life->reason);
    } else if (life->state == VM_READY) {
        making->rest = (struct rest){0};
        timer_set(making->timer, 0);
    } else if (vm_life_has_ended(life)) {
        unlinkat(instance->dir_fd, VM_TEMPLATE_RAM_FILE, 0);
    }
}
