/* SPDX-License-Identifier: MIT */
#include "agent/instance/snapshot_save.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/base/text.h"
#include "agent/instance/instance.h"
#include "agent/instance/state_keep.h"
#include "agent/vm/argv.h"

static void end_snapshot(struct instance *instance);

/* QEMU saves a guest once, until that has run again. */
static enum saved_taken take_unsaved(struct instance *instance, const json_t *data, struct pi_error *err)
{
    struct qmp_status status;
    if (qmp_status_decode(data, &status) == 0 && status.state != QMP_RUN_POSTMIGRATE)
        return TAKEN_NEXT;
    pi_refuse(err, PI_CONFLICT,
              "its guest is paused, and its memory was saved since. Let it run first: piagent resume %s",
              instance->record.spec.name);
    return TAKEN_FAILED;
}

static json_t *old_overlay(const struct instance *instance)
{
    return json_pack("{s:s}", "node-name", snapshot_layer(instance));
}

static json_t *old_overlay_file(const struct instance *instance)
{
    return json_pack("{s:s+}", "node-name", snapshot_layer(instance), "-file");
}

static json_t *overlay_file(const struct instance *instance)
{
    pi_auto_free char *path = NULL;
    if (asprintf(&path, "%s/" VM_DISK_FILE, instance->folder) < 0)
        path = NULL;
    return json_pack("{s:s, s:s+, s:s, s:s}", "driver", "file", "node-name", snapshot_layer(instance),
                     "-file", "filename", path ? path : "", "discard", "unmap");
}

static json_t *overlay(const struct instance *instance)
{
    return json_pack("{s:s, s:s, s:s+, s:n, s:s}", "driver", "qcow2", "node-name", snapshot_layer(instance),
                     "file", snapshot_layer(instance), "-file", "backing", "discard", "unmap");
}

/* The disk's node has its name from the command line ("disk"), or from the last snapshot. */
static enum saved_taken take_blocks(struct instance *instance, const json_t *data, struct pi_error *err)
{
    struct saved_state *state = &instance->saved_state;
    const json_t *block;
    size_t i;
    json_array_foreach(data, i, block) {
        const char *node =
            json_string_value(json_object_get(json_object_get(block, "inserted"), "node-name"));
        if (node && (!strcmp(node, VM_DISK_NODE) || pi_starts_with(node, "base-")) &&
            strlen(node) < sizeof state->node) {
            snprintf(state->node, sizeof state->node, "%s", node);
            return TAKEN_NEXT;
        }
    }
    pi_refuse(err, PI_FAILED, "QEMU does not tell its disk");
    return TAKEN_FAILED;
}

static json_t *switch_disks(const struct instance *instance)
{
    return json_pack("{s:s, s:s}", "node", instance->saved_state.node, "overlay", snapshot_layer(instance));
}

/* The guest stands still from the stop on. */
static const struct saved_step snapshot_steps[] = {
    {QMP_QUERY_STATUS, .take = take_unsaved},
    {QMP_BLOCKDEV_DEL, .arguments = old_overlay, .may_be_refused = true}, /* of a snapshot that failed */
    {QMP_BLOCKDEV_DEL, .arguments = old_overlay_file, .may_be_refused = true},
    {QMP_BLOCKDEV_ADD, .arguments = overlay_file},
    {QMP_BLOCKDEV_ADD, .arguments = overlay},
    {QMP_QUERY_BLOCK, .take = take_blocks},
    {.command = QMP_STOP},
    {QMP_BLOCKDEV_SNAPSHOT, .arguments = switch_disks},
    {QMP_MIGRATE, .arguments = saved_step_uri},
    {QMP_QUERY_MIGRATE, .take = saved_step_migrated},
    {QMP_COMMANDS, .end = end_snapshot},
};

void snapshot_save_begin(struct instance *instance)
{
    saved_state_begin(instance, snapshot_steps);
}

/* The variables are copied as long as the guest stands still, and all else is written when it runs again. */
static void keep_vars_in_thread(uv_work_t *request)
{
    struct keeping *keeping = request->data;
    const struct instance *instance = keeping->instance;
    keeping->result = vm_spec_uses_uefi(&instance->record.spec)
                          ? pi_file_copy(instance->dir_fd, VM_VARS_FILE, keeping->dir_fd, &keeping->failure)
                          : 0;
}

static void on_snapshot_kept(uv_work_t *request, int status)
{
    struct keeping *keeping = keeping_of(request);
    (void)status; /* nobody cancels it */
    snapshot_kept(keeping->instance, keeping->result < 0 ? &keeping->failure : NULL);
    keeping_end(keeping);
}

static void on_vars_kept(uv_work_t *request, int status)
{
    struct keeping *keeping = keeping_of(request);
    struct instance *instance = keeping->instance;
    (void)status;
    if (keeping_counts(keeping) && keeping->result == 0) {
        snapshot_goes_on(instance);
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_STATE_COPIED});
        keeping_queue(keeping, keeping_write, on_snapshot_kept);
        return;
    }
    if (keeping_counts(keeping))
        saved_state_failed(instance, keeping->failure.text);
    keeping_end(keeping);
}

static void end_snapshot(struct instance *instance)
{
    keeping_begin(instance, snapshot_layer(instance), keep_vars_in_thread, on_vars_kept);
}
