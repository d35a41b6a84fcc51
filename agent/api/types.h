/*
 * The wire of the control API: requests, replies and events as structs, each bound to its JSON object by a
 * table (agent/base/fields.h). Which path takes and gives which is in api/operations.h, and as an OpenAPI
 * document in GET /v1/openapi.json.
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
    uint64_t imds_port; /* on 127.0.0.1 */
    uint64_t instances; /* known */
    uint64_t running;   /* with a QEMU process */
    uint64_t started_ms;
    char *state_folder; /* where the instances and the agent's log are */
};
extern const struct pi_field api_agent_fields[];

/* A new instance. Enumerated values go as their words ("x86_64", "auto"); the agent checks all of it. */
struct api_create {
    char *name;         /* required */
    char *image;        /* reference: "fedora", "fedora:44", URL, absolute path. Default "fedora" */
    char *image_sha256; /* published by other means: 64 hexadecimal digits */
    bool image_unverified;
    bool image_allow_unsigned;  /* a Fedora image whose signature is missing or bad */
    char *arch;                 /* "x86_64", "aarch64"; default: the host's */
    uint64_t cpus;              /* 0 = default (2) */
    uint64_t memory_mib;        /* 0 = default (1024) */
    uint64_t memory_max_mib;    /* of QEMU as a whole; 0 = no limit */
    uint64_t cpu_quota_percent; /* of one processor's time; 0 = no limit */
    uint64_t disk_bytes;        /* 0 = default: 10 GiB or the image's own size, whichever is larger */
    char *accel;                /* "auto", "kvm", "tcg" */
    char *firmware;             /* "auto", "bios", "uefi" */
    struct pi_strv forwards;    /* "127.0.0.1:8080:80" */
    bool isolate;               /* the guest reaches its IMDS and answers to the forwards, nothing else */
    char *user;                 /* default "fedora" */
    char *password_hash;        /* crypt(3); absent: no password */
    struct pi_strv ssh_keys;    /* public key lines */
    char *user_data;            /* the file's text (UTF-8, no NUL) */
    struct pi_strv environment; /* NAME=VALUE for the image's fetch: where Fedora's files and proxies are for
                                   this user */
};
extern const struct pi_field api_create_fields[];

struct api_instance {
    char *name;
    char *state;  /* vm_state_names: created starting running ready paused stopping stopped failed lost */
    char *reason; /* why it is in this state, or what is wrong with it: its host's disk is full, its image
                     damaged, its guest's kernel panicked, QEMU's monitor lost */
    char *arch;
    char *accel; /* what it runs under: "kvm", "tcg"; absent when it never ran */
    char *image; /* the image's file name */
    char *image_sha256;
    bool image_verified;
    uint64_t cpus, memory_mib, memory_max_mib, cpu_quota_percent, disk_bytes;
    char *uuid;
    uint64_t pid; /* 0 = no QEMU */
    char *user;
    uint64_t ssh_port; /* on 127.0.0.1 */
    struct pi_strv forwards;
    bool isolate;
    uint64_t created_ms, started_ms, ready_ms, stopped_ms; /* since 1970; 0 = never */
    char *cloud_init; /* "pending", "running", "done", "degraded" (WARN), "failed", or absent */
    char *cloud_init_stage;
    struct pi_strv failed_modules;
    char *stopped_by;    /* how the last stop ended: "guest", "powerdown", "quit", "term", "kill" */
    char *folder;        /* its folder on disk: ssh_key, known_hosts, console.log, qemu.log, journal.jsonl */
    uint64_t last_event; /* seq of its newest event */
};
extern const struct pi_field api_instance_fields[];
extern const struct pi_field
    api_summary_fields[]; /* some of them: reading all of a thousand machines takes long */

struct api_qemu_command {
    struct pi_strv argv;
};
extern const struct pi_field api_qemu_command_fields[];

struct api_stop {
    uint64_t
        timeout_ms;   /* for the guest to power itself off; 0 = default (90 s from its last sign of life) */
    uint64_t step_ms; /* for each step after that: quit, SIGTERM; 0 = default (10 s) */
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
    API_EVENT_ERROR, /* the request that made the instance failed, and the instance is gone: error_kind, text
                      */
    API_EVENT_BOOT,  /* the guest begins at its firmware: QEMU was started, or reset: text is
                        "started", "reset" or "rebooted" */
    API_EVENT_LANDMARK, /* the console shows how far the boot has come: landmark, text (the line, cleaned) */
};
extern const char *const api_event_kind_names[];

struct api_event {
    uint64_t seq;                           /* from 1, without gaps, for the life of the instance */
    uint64_t realtime_ms;                   /* CLOCK_REALTIME */
    uint64_t monotonic_ms;                  /* CLOCK_MONOTONIC of this boot of the host */
    int kind;                               /* enum api_event_kind */
    char *text;                             /* one clean line for people */
    char *state;                            /* STATE */
    char *stage, *module, *report, *result; /* REPORT */
    uint64_t guest_ms;                      /* REPORT: the guest's clock */
    uint64_t duration_ms; /* REPORT, finish: what the guest says that it took; 0 = it does not (cloud-init
                             before 26.1) */
    char *landmark;       /* LANDMARK: "firmware", "bootloader", "kernel", "init", "login" */
    char *phase;          /* IMAGE: "resolving", "waiting", "downloading", "copying", "checking" */
    uint64_t done_bytes, total_bytes, rate_bytes_per_s; /* IMAGE */
    char *error_kind;                                   /* ERROR: pi_kind_name() */
};
extern const struct pi_field api_event_fields[];

/* New reference, or NULL without memory. Zero numbers that mean "absent" are written all the same. */
#define api_write(type, value)         pi_fields_write(api_##type##_fields, (value))
#define api_read(type, json, ret, err) pi_fields_read(api_##type##_fields, (json), true, (ret), (err))
#define api_done(type, value)          pi_fields_done(api_##type##_fields, (value))

#endif
