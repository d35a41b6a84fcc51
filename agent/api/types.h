/* SPDX-License-Identifier: MIT */
/*
 * Requests, replies and events of the control API as structs. A table (agent/base/fields.h) binds each to its JSON
 * object and explains its members (.help in types.c). operations.h says which path takes and gives which struct, and so
 * does the OpenAPI document, GET /v1/openapi.json.
 */
#ifndef PIAGENT_API_TYPES_H
#define PIAGENT_API_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/failure.h"
#include "agent/base/fields.h"
#include "agent/base/text.h"
#include "agent/image/progress.h"
#include "agent/vm/landmark.h"
#include "agent/vm/life.h"
#include "agent/vm/spec.h"
#include "imds/report.h"

#define API_BODY_MAX ((size_t)2 << 20)
/* Of a line of events that a client reads; those of this version are far shorter. */
#define API_EVENT_LINE_MAX ((size_t)256 << 10)

/* The body of every failure; its HTTP status goes by its kind (api/control_server.h). */
struct api_error {
    struct pi_failure error;
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
    char *arch;                                      /* NULL: no guest is native */
    uint64_t cpus, memory_mib, memory_available_mib; /* 0: an older agent does not tell */
    uint64_t memory_promised_mib;
    bool kvm, kvm_proven;
    char *metrics, *metrics_failure;
};
extern const struct pi_field api_agent_fields[];

/* A new instance; the agent checks all of it. */
struct api_create {
    char *name;
    struct vm_spec spec; /* VM_SPEC_CHOSEN of it. Before it is read: .arch is the default */
    char *image;
    char *image_sha256;
    bool image_unverified;
    bool image_allow_unsigned;
    struct pi_strv ssh_keys;
    char *user_data, *user_data_base64; /* one of them, or none */
    bool user_data_unchecked;
    struct pi_strv environment;
    bool stopped;
    char *clone_of;
};
extern const struct pi_field api_create_fields[];

/* What keeps an instance from being made or started. */
struct api_fault {
    char *option;
    char *value;
    PI_OPEN_ENUM(pi_kind, kind);
    char *message;
};
extern const struct pi_field api_fault_fields[];

/* The state of the guest's cloud-init, in its newest boot, as far as piagent knows. */
enum api_cloud_init {
    API_CLOUD_INIT_NONE,     /* nothing, and nothing is to come: it never ran, or ended before it reported */
    API_CLOUD_INIT_PENDING,  /* no report yet */
    API_CLOUD_INIT_RUNNING,  /* it reports */
    API_CLOUD_INIT_DONE,     /* it has finished */
    API_CLOUD_INIT_DEGRADED, /* it has finished, with warnings */
    API_CLOUD_INIT_FAILED,   /* it has finished, and something failed */
    API_CLOUD_INIT_SILENT,   /* the guest is up, and cloud-init does not report */
    API_CLOUD_INITS
};
extern const char *const api_cloud_init_names[]; /* "none", "pending", ...; ends with NULL */

/* How the last stop ended. */
enum api_stopped_by {
    API_STOPPED_BY_NONE,      /* it did not, or nobody knows how */
    API_STOPPED_BY_GUEST,     /* the guest powered itself off */
    API_STOPPED_BY_POWERDOWN, /* the same, because it was asked to */
    API_STOPPED_BY_QUIT,      /* QEMU's quit */
    API_STOPPED_BY_TERM,      /* SIGTERM */
    API_STOPPED_BY_KILL,      /* SIGKILL */
    API_STOPPED_BYS
};
extern const char *const api_stopped_by_names[]; /* "none", "guest", ...; ends with NULL */

struct api_instance {
    char *name;
    PI_OPEN_ENUM(vm_state, state);
    char *reason;
    PI_OPEN_ENUM(vm_arch, arch);
    PI_OPEN_ENUM(vm_accel, accel); /* VM_ACCEL_AUTO: it never ran */
    char *image;
    char *image_sha256;
    bool image_verified;
    struct vm_spec spec; /* VM_SPEC_SHOWN of it, in a list VM_SPEC_LISTED */
    uint64_t pid;
    uint64_t host_memory_bytes;
    uint64_t saved_bytes;
    uint64_t snapshots;
    char *snapshot;
    uint64_t created_ms, started_ms, boot_ms, ready_ms, stopped_ms;
    bool booted;
    PI_OPEN_ENUM(api_cloud_init, cloud_init);
    char *cloud_init_stage;
    struct pi_strv failed_modules;
    struct pi_strv user_data_problems;
    PI_OPEN_ENUM(api_stopped_by, stopped_by);
    bool begun_again;
    bool removed; /* an ephemeral one that has ended: it is told of for some seconds */
    uint64_t clock_behind_ms;
    char *folder;
    uint64_t last_event;
    uint64_t boot_event;
    uint64_t last_sign_ms;
    bool already;
};
extern const struct pi_field api_instance_fields[];
/* How much of its host's memory it takes at most (vm/host_memory.h). */
uint64_t api_instance_memory_mib(const struct api_instance *instance);
/* Some of them: reading all of a thousand instances takes long. */
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

/* A network that instances share, a new one or one that is there. In replies, "members" is besides: an array of
 * api_network_member. */
struct api_network {
    char *name;
    char *subnet;
    char *id;
    char *gateway;
    char *reason;
    uint64_t created_ms;
    uint64_t switch_pid;
    json_t *links;
};
extern const struct pi_field api_new_network_fields[];
extern const struct pi_field api_network_fields[];

/* Another host that a network is to be linked with, or not any more. */
struct api_network_link {
    char *host;
};
extern const struct pi_field api_network_link_fields[];

/* A fleet that is on other hosts, too. */
struct api_fleet_elsewhere {
    json_t *peers;
    char *join_secret;
};
extern const struct pi_field api_fleet_elsewhere_fields[];
extern const struct pi_field api_fleet_secret_fields[];

/* The switch counts these for each member that runs, and for each link. */
struct api_network_counters {
    uint64_t received_frames, received_bytes, sent_frames, sent_bytes, ipv6, refused, lost;
};
extern const struct pi_field api_network_counters_fields[];

struct api_network_member {
    char *name;
    char *address;
    char *mac;
    PI_OPEN_ENUM(vm_state, state);
    struct api_network_counters counters;
};
extern const struct pi_field api_network_member_fields[];

struct api_agent_stop {
    bool force;
};
extern const struct pi_field api_agent_stop_fields[];

struct api_start {
    bool cold;
};
extern const struct pi_field api_start_fields[];

/* The body of the requests for a snapshot. */
struct api_snapshot_request {
    char *tag;
    bool cold;
};
extern const struct pi_field api_new_snapshot_fields[], api_restore_fields[], api_old_snapshot_fields[];

struct api_snapshot {
    char *tag, *parent, *reason;
    uint64_t taken_ms, disk_bytes, memory_bytes;
    bool current;
};
extern const struct pi_field api_snapshot_fields[];

struct api_stop {
    uint64_t timeout_ms;
    uint64_t step_ms;
};
extern const struct pi_field api_stop_fields[];

/* What may be changed of an instance that is there. */
struct api_update {
    struct pi_strv labels, after; /* whether one is given, the request's JSON tells */
};
extern const struct pi_field api_update_fields[];

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
                        QEMU), or "resumed": from its template */
    API_EVENT_LANDMARK, /* the console shows how far the boot has come: landmark, text (the line, cleaned) */
    API_EVENT_SILENT,   /* the guest is up, and its cloud-init does not report: text says why that may be. A
                           report takes it back; what it fetches of its seed does not, which any process of
                           the guest can ask for */
    API_EVENT_IDENTITY, /* a guest that resumed from a template has taken its own identity: text says after how long.
                           From now on it accepts SSH */
    API_EVENT_QUEUED, /* its cloud-init waits until others of templates have been set up: text. Its seed is fetched after
                           that */
    API_EVENTS
};
extern const char *const api_event_kind_names[];

struct api_event {
    uint64_t seq;
    uint64_t realtime_ms;
    uint64_t monotonic_ms;
    char *name;
    PI_OPEN_ENUM(api_event_kind, kind);
    char *text;
    PI_OPEN_ENUM(vm_state, state);
    char *stage, *module;
    PI_OPEN_ENUM(imds_event, report);
    PI_OPEN_ENUM(imds_result, result);
    uint64_t guest_ms;
    uint64_t duration_ms;
    PI_OPEN_ENUM(vm_landmark, landmark);
    uint64_t left_ms;
    PI_OPEN_ENUM(image_phase, phase);
    uint64_t done_bytes, total_bytes, rate_bytes_per_s;
    PI_OPEN_ENUM(pi_kind, error_kind); /* one that this version does not know is PI_FAILED */
};
extern const struct pi_field api_event_fields[];

/* The state's word, of an instance or an event, also if this version does not know it. */
#define api_state_word(owner) PI_WORD(owner, state, vm_state)

/* text of API_EVENT_BOOT, if QEMU was started */
#define API_BOOT_STARTED "started"
/* The same, if it resumed from its template: its guest does not boot, but sets itself up. */
#define API_BOOT_RESUMED "resumed"

/* True if the guest begins anew in a QEMU that runs on (API_EVENT_BOOT). */
bool api_event_is_reboot(const struct api_event *event);

/* True if the event shows that the boot goes on, or that a new one has begun, after API_EVENT_STUCK or
 * API_EVENT_SILENT. */
bool api_event_takes_back(const struct api_event *event, enum api_event_kind told);

/* New reference, or NULL without memory. */
#define api_write(type, value)         pi_fields_write(api_##type##_fields, (value))
#define api_read(type, json, ret, err) pi_fields_read(api_##type##_fields, (json), true, (ret), (err))
#define api_done(type, value)          pi_fields_done(api_##type##_fields, (value))

#endif
