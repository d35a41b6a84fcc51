/* SPDX-License-Identifier: MIT */
/* What a machine's boot may be expected to take: its milestones are noted as its events come, compared with
 * earlier boots, and kept when it is ready. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/fs.h"
#include "agent/daemon/instance.h"
#include "agent/loop/log.h"

#define BOOTS_FILE "boots.json" /* in pi_paths.state */

void boots_load(struct agent *agent, int state_fd)
{
    pi_auto_buf struct pi_buf text = {0};
    int r = pi_file_read(state_fd, BOOTS_FILE, VM_BOOTS_MAX, &text, NULL);
    json_auto_t *document = r == 0 && text.data ? pi_json_parse(text.data, text.size, NULL) : NULL;
    if (!document && r != -ENOENT)
        log_line("the times of earlier boots (%s/" BOOTS_FILE ") cannot be read: they are begun anew",
                 agent->paths.state);
    vm_boots_read(&agent->boots, document);
}

static int write_file(const struct agent *agent, struct pi_error *err)
{
    const char *text = agent->boots_file.text;
    if (!text)
        return pi_fail(err, ENOMEM, BOOTS_FILE);
    pi_auto_close int fd = pi_dir_open(agent->paths.state, err);
    return fd < 0 ? fd : pi_file_write(fd, BOOTS_FILE, text, strlen(text), 0600, err);
}

static void write_in_thread(uv_work_t *request)
{
    struct agent *agent = request->data;
    agent->boots_file.result = write_file(agent, &agent->boots_file.failure);
}

static void save(struct agent *agent);

static void on_written(uv_work_t *request, int status)
{
    struct agent *agent = request->data;
    (void)status;
    agent->writes--;
    agent->boots_file.busy = false;
    free(pi_steal(agent->boots_file.text));
    if (agent->boots_file.result < 0)
        log_line("the times of boots are not kept: %s", agent->boots_file.failure.text);
    if (agent->boots_file.wanted)
        save(agent);
}

/* By a thread, the newest times only: nobody waits for it. */
static void save(struct agent *agent)
{
    agent->boots_file.wanted = agent->boots_file.busy;
    if (agent->boots_file.busy)
        return;
    json_auto_t *document = vm_boots_write(&agent->boots);
    agent->boots_file.text = document ? json_dumps(document, JSON_COMPACT) : NULL;
    agent->boots_file.busy = true;
    agent->boots_file.request.data = agent;
    agent->writes++;
    uv_queue_work(&agent->loop, &agent->boots_file.request, write_in_thread, on_written);
}

/* All that changes how long a boot takes: what is booted and on what, whether cloud-init does its work of the
 * first boot, and what it is told to do. "" where the image is not known by its content. */
static void key_of(const struct instance *instance, char ret[VM_BOOTS_KEY])
{
    const struct vm_record *record = &instance->record;
    const struct vm_spec *spec = &record->spec;
    ret[0] = '\0';
    if (spec->image.sha256[0])
        snprintf(ret, VM_BOOTS_KEY, "%s %s %s cpus=%" PRIu64 " quota=%" PRIu64 " %s user-data=%016" PRIx64,
                 spec->image.sha256, vm_accel_names[record->accel], vm_firmware_names[spec->firmware],
                 spec->cpus, spec->cpu_quota_percent, record->booted ? "again" : "first",
                 instance->user_data_mark);
}

static const char *milestone_name(const struct api_event *event)
{
    switch (event->kind) {
    case API_EVENT_LANDMARK:
        return event->landmark;
    case API_EVENT_SEED:
        return "seed";
    case API_EVENT_REPORT:
        return event->stage;
    case API_EVENT_STATE:
        return event->state;
    default:
        return NULL;
    }
}

void boots_note(struct instance *instance, const struct api_event *event)
{
    struct vm_boot *boot = &instance->boot;
    const char *name = milestone_name(event);
    if (event->kind == API_EVENT_BOOT) {
        *boot = (struct vm_boot){.counts = true, .began_ms = event->monotonic_ms};
        instance->boot_event = event->seq;
    } else if (event->kind == API_EVENT_STATE && name) {
        bool sleeps = !strcmp(name, vm_state_names[VM_SUSPENDED]);
        boot->counts = boot->counts && !sleeps && strcmp(name, vm_state_names[VM_PAUSED]) != 0;
        instance->slept |= sleeps;
        if (!strcmp(name, vm_state_names[VM_STARTING]))
            instance->boot_event = 0, instance->slept = false;
    }
    instance->boot_news =
        event->kind == API_EVENT_BOOT || vm_boot_reach(boot, vm_milestone_find(name), event->monotonic_ms);
}

uint64_t boots_left_ms(struct instance *instance, const struct api_event *event)
{
    char key[VM_BOOTS_KEY];
    enum vm_milestone milestone = vm_milestone_find(milestone_name(event));
    boots_note(instance, event);
    if (!instance->boot_news)
        return 0;
    key_of(instance, key);
    if (milestone != VM_MILESTONE_READY)
        return vm_boots_left_ms(&instance->agent->boots, key, &instance->boot, milestone);
    vm_boots_add(&instance->agent->boots, key, &instance->boot);
    save(instance->agent);
    return 0;
}
