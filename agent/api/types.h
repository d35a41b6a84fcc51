/* SPDX-License-Identifier: MIT */
/*
 * The wire of the control API: requests, replies and events as structs, each bound to its JSON object by a
 * table (agent/base/fields.h), where each member is explained (.help in api/types.c). Which path takes and
 * gives which is in api/operations.h, and as an OpenAPI document in GET /v1/openapi.json.
 */
#ifndef PIAGENT_API_TYPES_H
#define PIAGENT_API_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/fields.h"
#include "agent/base/text.h"

#define API_BODY_MAX ((size_t)2 << 20)

struct api_failure {
    char *kind; /* pi_kind_name() */
    char *message;
};
extern const struct pi_field api_failure_fields[];

/* The body of every failure; its HTTP status goes by its kind (api/server.h). */
struct api_error {
    struct api_failure error;
};
extern const struct pi_field api_error_fields[];

struct api_agent {
    char *version;
    uint64_t pid;
    uint64_t imds_port;
    uint64_t instances;
    uint64_t running;
    uint64_t started_ms;
    char *state_folder;
};
extern const struct pi_field api_agent_fields[];

/* A new instance. Enumerated values go as their words ("x86_64", "auto"); the agent checks all of it. */
struct api_create {
    char *name;
    char *image;
    char *image_sha256;
    bool image_unverified;
    bool image_allow_unsigned;
    char *arch;
    uint64_t cpus;
    uint64_t memory_mib;
    uint64_t memory_max_mib;
    uint64_t cpu_quota_percent;
    uint64_t disk_bytes;
    char *accel;
    char *firmware;
    struct pi_strv forwards;
    bool isolate;
    char *user;
    char *password_hash;
    struct pi_strv ssh_keys;
    char *user_data, *user_data_base64; /* one of them, or none */
    bool user_data_unchecked;
    struct pi_strv environment;
};
extern const struct pi_field api_create_fields[];

struct api_instance {
    char *name;
    char *state;
    char *reason;
    char *arch;
    char *accel;
    char *image;
    char *image_sha256;
    bool image_verified;
    uint64_t cpus, memory_mib, memory_max_mib, cpu_quota_percent, disk_bytes;
    char *uuid;
    uint64_t pid;
    char *user;
    uint64_t ssh_port;
    struct pi_strv forwards;
    bool isolate;
    uint64_t created_ms, started_ms, boot_ms, ready_ms, stopped_ms;
    bool booted;
    char *cloud_init;
    char *cloud_init_stage;
    struct pi_strv failed_modules;
    struct pi_strv user_data_problems;
    char *stopped_by;
    bool begun_again;
    uint64_t clock_behind_ms;
    char *folder;
    uint64_t last_event;
    uint64_t boot_event;
    uint64_t last_sign_ms;
    bool already;
};
extern const struct pi_field api_instance_fields[];
/* some of them: reading all of a thousand machines takes long */
extern const struct pi_field api_summary_fields[];

/* In the reply, "options" is besides: an array of api_qemu_option, of vm_argv_explain() (agent/vm/argv_explain.h).
 */
struct api_qemu_command {
    struct pi_strv argv;
};
struct api_qemu_option {
    char *group;
    char *why;
    struct pi_strv words;
};
extern const struct pi_field api_qemu_option_fields[];
extern const struct pi_field api_qemu_command_fields[];

struct api_agent_stop {
    bool force;
};
extern const struct pi_field api_agent_stop_fields[];

struct api_stop {
    uint64_t timeout_ms;
    uint64_t step_ms;
};
extern const struct pi_field api_stop_fields[];

enum api_event_kind {
    API_EVENT_STATE,  /* state changed: state, text */
    API_EVENT_IMAGE,  /* progress of the image; not kept in the journal (seq 0): phase, done, total, rate */
    API_EVENT_SEED,   /* a seed document was served: text names it */
    API_EVENT_REPORT, /* cloud-init's report: stage, module, report ("start"/"finish"), result */
    API_EVENT_NOTE,  /* something to tell: text (accelerator fallback, powerdown sent again, reset, panic ...)
                      */
    API_EVENT_PANIC, /* the guest's kernel panicked: text */
    API_EVENT_STUCK, /* by its console, the boot goes no further: text. Any later sign of the guest takes it
                        back */
    API_EVENT_ERROR, /* the request that made the instance failed, and the instance is gone: error_kind, text
                      */
    API_EVENT_BOOT,  /* the guest begins at its firmware: QEMU was started, or reset: text is
                        "started", "reset", "rebooted" or "begun again" (the boot before died by a race in
                        QEMU) */
    API_EVENT_LANDMARK, /* the console shows how far the boot has come: landmark, text (the line, cleaned) */
    API_EVENT_SILENT,   /* the guest is up, and its cloud-init does not report: text says why that may be. A
                           report takes it back; what it fetches of its seed does not, which any process of
                           the guest can ask for */
};
extern const char *const api_event_kind_names[];

struct api_event {
    uint64_t seq;
    uint64_t realtime_ms;
    uint64_t monotonic_ms;
    char *name;
    enum api_event_kind kind;
    char *text;
    char *state;
    char *stage, *module, *report, *result;
    uint64_t guest_ms;
    uint64_t duration_ms;
    char *landmark;
    uint64_t left_ms;
    char *phase;
    uint64_t done_bytes, total_bytes, rate_bytes_per_s;
    char *error_kind;
};
extern const struct pi_field api_event_fields[];

/* True if the event shows that the boot goes on, or that a new one has begun, after API_EVENT_STUCK or
 * API_EVENT_SILENT. */
bool api_event_takes_back(const struct api_event *event, enum api_event_kind told);

/* New reference, or NULL without memory. */
#define api_write(type, value)         pi_fields_write(api_##type##_fields, (value))
#define api_read(type, json, ret, err) pi_fields_read(api_##type##_fields, (json), true, (ret), (err))
#define api_done(type, value)          pi_fields_done(api_##type##_fields, (value))

#endif
