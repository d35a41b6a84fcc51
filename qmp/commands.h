/* SPDX-License-Identifier: MIT */
/*
 * Typed commands, replies and events over qmp/qmp.h. Source: QEMU's schema, qapi/run-state.json,
 * qapi/block-core.json, qapi/machine.json, qapi/misc.json, qapi/acpi.json, qapi/accelerator.json, qapi/control.json,
 * qapi/qom.json, qapi/qdev.json and qapi/migration.json (the "QMP Reference Manual").
 *
 * Decoders are pure. They return 0, or -EPROTO if a member is missing or has the wrong type; *ret is then
 * untouched. They ignore members that the schema may gain later. Texts are copies. A text that is too long
 * for its array is cut between characters.
 */
#ifndef QMP_COMMANDS_H
#define QMP_COMMANDS_H

#include <stdbool.h>

#include "qmp/qmp.h"

enum qmp_command {
    QMP_QUERY_STATUS,     /* reply: qmp_status_decode() */
    QMP_QUERY_UUID,       /* reply: qmp_uuid_decode() */
    QMP_QUERY_KVM,        /* reply: qmp_kvm_decode() */
    QMP_SYSTEM_POWERDOWN, /* presses the power button; has no effect if the guest does not listen yet */
    QMP_SYSTEM_RESET,     /* the machine's reset; RESET follows */
    QMP_SYSTEM_WAKEUP,    /* wakes a suspended guest, refused in every other state; WAKEUP follows */
    QMP_STOP,             /* pauses; STOP follows */
    QMP_CONT,             /* runs, also from prelaunch; RESUME follows. No effect while suspended */
    QMP_QUIT,             /* ends QEMU, its disks flushed; SHUTDOWN (host-qmp-quit) and end of file follow */
    QMP_QUERY_VERSION,    /* reply: qmp_version_decode() */
    QMP_QUERY_MIGRATE,    /* reply: qmp_migration_decode() */
    QMP_QUERY_BLOCK,      /* reply: an array of BlockInfo */
    QMP_MIGRATE_CANCEL,   /* no effect if none is under way */

    /* These take arguments: */
    QMP_QOM_GET,   /* "path", "property"; reply: any JSON value */
    QMP_GETFD,     /* "fdname": a name for the descriptor that goes along */
    QMP_ADD_FD,    /* "fdset-id": a number for the descriptor that goes along: "/dev/fdset/NUMBER" opens it */
    QMP_REMOVE_FD, /* "fdset-id"; refused if there is none. What QEMU has opened of it stays open */
    QMP_MIGRATE_SET_PARAMETERS,   /* those of struct MigrationParameters */
    QMP_MIGRATE_SET_CAPABILITIES, /* "capabilities": a list of {"capability", "state"} */
    QMP_DEVICE_ADD,        /* "driver", "id", "bus" and the driver's properties, all but numbers as texts */
    QMP_BLOCKDEV_ADD,      /* struct BlockdevOptions */
    QMP_BLOCKDEV_DEL,      /* "node-name"; refused if it is in use, or if there is none */
    QMP_BLOCKDEV_SNAPSHOT, /* "node", "overlay": writes go to the overlay from now on */
    QMP_MIGRATE,           /* "uri": "fd:NAME", or, of a file, "file:PATH"; answered when it has begun: ask
                    QMP_QUERY_MIGRATE */
    QMP_MIGRATE_INCOMING,  /* the same, of a QEMU that was started with -incoming defer */
    QMP_COMMANDS
};

/* Executes one of the commands above that take no arguments, as qmp_client_execute() does. */
int qmp_command_execute(struct qmp_client *client, enum qmp_command command, uint64_t deadline_ms,
                        qmp_reply_fn reply, void *user);

/* Executes any of them, as qmp_client_execute() or, unless fd is -1, qmp_client_execute_fd() does. */
int qmp_command_execute_with(struct qmp_client *client, enum qmp_command command, json_t *arguments, int fd,
                             uint64_t deadline_ms, qmp_reply_fn reply, void *user);

/* QEMU's RunState. */
enum qmp_run_state {
    QMP_RUN_OTHER, /* a state that this library does not know: see qmp_status.name */
    QMP_RUN_COLO,
    QMP_RUN_DEBUG,
    QMP_RUN_FINISH_MIGRATE,
    QMP_RUN_GUEST_PANICKED,
    QMP_RUN_INMIGRATE,
    QMP_RUN_INTERNAL_ERROR, /* the accelerator cannot run the guest any further */
    QMP_RUN_IO_ERROR,       /* paused by a failed disk */
    QMP_RUN_PAUSED,         /* by stop */
    QMP_RUN_POSTMIGRATE,
    QMP_RUN_PRELAUNCH, /* started with -S, not yet run */
    QMP_RUN_RESTORE_VM,
    QMP_RUN_RUNNING,
    QMP_RUN_SAVE_VM,
    QMP_RUN_SHUTDOWN,  /* the guest is off, and -no-shutdown keeps QEMU */
    QMP_RUN_SUSPENDED, /* ACPI S3 */
    QMP_RUN_WATCHDOG,
};

struct qmp_status {
    bool running; /* the virtual CPUs run; false while suspended, even if QEMU says otherwise */
    enum qmp_run_state state;
    char name[32]; /* as QEMU calls the state: "prelaunch" */
};
int qmp_status_decode(const json_t *data, struct qmp_status *ret);

struct qmp_kvm {
    bool enabled; /* this machine runs on KVM */
    bool present; /* this QEMU was built with it */
};
int qmp_kvm_decode(const json_t *data, struct qmp_kvm *ret);

/* The value of -uuid, in lower case; all zeros without -uuid. */
struct qmp_uuid {
    char text[36 + 1];
};
int qmp_uuid_decode(const json_t *data, struct qmp_uuid *ret);

struct qmp_version {
    unsigned major, minor, micro;
};
int qmp_version_decode(const json_t *data, struct qmp_version *ret);

/* A MigrationStatus, and what it means to whoever waits. */
enum qmp_migration_state {
    QMP_MIGRATION_NONE,   /* none was begun */
    QMP_MIGRATION_ACTIVE, /* it is under way, in whatever phase */
    QMP_MIGRATION_DONE,   /* "completed": the other side has all of it */
    QMP_MIGRATION_FAILED, /* "failed" or "cancelled" */
};
struct qmp_migration {
    enum qmp_migration_state state;
    char name[32];   /* as QEMU calls the status; "" = none */
    char error[256]; /* why it failed, for people; "" = not known */
};
int qmp_migration_decode(const json_t *data, struct qmp_migration *ret);

enum qmp_event_kind {
    QMP_EVENT_OTHER, /* nothing but realtime_ms is set */
    QMP_EVENT_SHUTDOWN,
    QMP_EVENT_RESET,
    QMP_EVENT_STOP,
    QMP_EVENT_RESUME,
    QMP_EVENT_POWERDOWN,
    QMP_EVENT_SUSPEND,      /* the guest is in ACPI S3 */
    QMP_EVENT_SUSPEND_DISK, /* in S4: QEMU shuts down */
    QMP_EVENT_WAKEUP,
    QMP_EVENT_WATCHDOG,
    QMP_EVENT_GUEST_PANICKED,
    QMP_EVENT_GUEST_CRASHLOADED, /* it panicked, and its crash kernel takes over */
    QMP_EVENT_MEMORY_FAILURE,
    QMP_EVENT_BLOCK_IO_ERROR,
    QMP_EVENT_BLOCK_IMAGE_CORRUPTED,
};

/* A member that the event's kind does not have is false or "". */
struct qmp_event_info {
    enum qmp_event_kind kind;
    uint64_t realtime_ms;
    bool guest;       /* SHUTDOWN, RESET: the guest did it, not the host */
    bool nospace;     /* BLOCK_IO_ERROR: the host's disk is full */
    bool fatal;       /* BLOCK_IMAGE_CORRUPTED: the image is not usable any more */
    char reason[128]; /* SHUTDOWN, RESET: a ShutdownCause ("guest-shutdown", "host-qmp-quit"); BLOCK_IO_ERROR:
                         for people */
    char action[32];  /* GUEST_*: pause, poweroff, run; BLOCK_IO_ERROR: ignore, report, stop; WATCHDOG: reset,
                         pause ...; MEMORY_FAILURE: ignore, inject, fatal, reset */
    char recipient[16]; /* MEMORY_FAILURE: hypervisor, guest */
    char operation[8];  /* BLOCK_IO_ERROR: read, write */
    char device[128];   /* BLOCK_*: the -drive's id; "" for a disk of -blockdev */
    char node[128];     /* BLOCK_*: the node's name */
    char message[256];  /* BLOCK_IMAGE_CORRUPTED: for people */
};
int qmp_event_decode(const struct qmp_event *event, struct qmp_event_info *ret);

#endif
