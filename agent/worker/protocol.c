/* SPDX-License-Identifier: MIT */
#include "agent/worker/protocol.h"

#include "agent/base/text.h"

const char *const worker_kind_names[] = {
    [WORKER_PREPARE] = "prepare", [WORKER_SNAPSHOT] = "snapshot", [WORKER_KINDS] = NULL};

const struct pi_field worker_prepare_fields[] = {
    PI_FIELD(worker_prepare, folder, PI_FIELD_STRING, .required = true),
    PI_FIELD(worker_prepare, source, PI_FIELD_STRING),
    PI_FIELD(worker_prepare, image, PI_FIELD_STRING),
    PI_FIELD(worker_prepare, arch, PI_FIELD_STRING),
    PI_FIELD(worker_prepare, sha256, PI_FIELD_STRING),
    PI_FIELD(worker_prepare, unverified, PI_FIELD_BOOL),
    PI_FIELD(worker_prepare, allow_unsigned, PI_FIELD_BOOL),
    {0},
};

const struct pi_field worker_prepared_fields[] = {
    PI_FIELD(worker_prepared, image, PI_FIELD_STRUCT, .nested = vm_image_fields),
    PI_FIELD(worker_prepared, note, PI_FIELD_STRING),
    {0},
};

const char *const worker_snapshot_action_names[] = {"take", "freeze", "restore", "remove", NULL};

const struct pi_field worker_snapshot_fields[] = {
    PI_FIELD(worker_snapshot, folder, PI_FIELD_STRING, .required = true),
    PI_FIELD(worker_snapshot, tag, PI_FIELD_STRING, .required = true, .check = pi_name_check),
    PI_ENUM(worker_snapshot, action, worker_snapshot_action, .required = true),
    PI_FIELD(worker_snapshot, now_ms, PI_FIELD_U64),
    PI_FIELD(worker_snapshot, cold, PI_FIELD_BOOL),
    {0},
};

const struct pi_field worker_snapshot_done_fields[] = {
    PI_FIELD(worker_snapshot_done, layer, PI_FIELD_TEXT),
    {0},
};
