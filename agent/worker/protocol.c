/* SPDX-License-Identifier: MIT */
#include "agent/worker/protocol.h"

const char *const worker_kind_names[] = {
    [WORKER_FETCH] = "fetch", [WORKER_PREPARE] = "prepare", [WORKER_KINDS] = NULL};

const struct pi_field worker_fetch_fields[] = {
    PI_FIELD(worker_fetch, image, PI_FIELD_STRING, .required = true),
    PI_FIELD(worker_fetch, arch, PI_FIELD_STRING, .required = true),
    PI_FIELD(worker_fetch, sha256, PI_FIELD_STRING),
    PI_FIELD(worker_fetch, unverified, PI_FIELD_BOOL),
    PI_FIELD(worker_fetch, allow_unsigned, PI_FIELD_BOOL),
    PI_FIELD(worker_fetch, folder, PI_FIELD_STRING, .required = true),
    {0},
};

const struct pi_field worker_prepare_fields[] = {
    PI_FIELD(worker_prepare, folder, PI_FIELD_STRING, .required = true),
    PI_FIELD(worker_prepare, source, PI_FIELD_STRING),
    {0},
};
