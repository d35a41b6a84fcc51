/* SPDX-License-Identifier: MIT */
/*
 * The protocol between the agent and its workers. A worker is `piagent worker KIND`: a child process that
 * does one slow job.
 *
 * The worker reads its request, one JSON object, from its standard input. It writes JSON lines to its
 * standard output, each an object with one key:
 *
 *   {"progress": {...}}                           as often as it likes
 *   {"result": {...}}                             the last line, if it succeeded
 *   {"error": {"kind": "...", "message": "..."}}  the last line, if it failed
 *
 *   KIND     request         progress               result
 *   prepare  worker_prepare  image_progress_fields  worker_prepared
 *   snapshot worker_snapshot none                   worker_snapshot_done
 *
 * SIGTERM cancels the job. The agent logs the worker's standard error. Its exit code is an enum pi_kind.
 */
#ifndef PIAGENT_WORKER_PROTOCOL_H
#define PIAGENT_WORKER_PROTOCOL_H

#include <stdbool.h>

#include "agent/base/fields.h"
#include "agent/vm/spec.h"

#define WORKER_PROGRESS "progress"
#define WORKER_RESULT   "result"
#define WORKER_ERROR    "error"

#define WORKER_LINE_MAX ((size_t)64 << 10)

enum worker_kind { WORKER_PREPARE, WORKER_SNAPSHOT, WORKER_KINDS };
/* "prepare", "snapshot", NULL. */
extern const char *const worker_kind_names[];

/*
 * Makes the files of an instance besides its record: disk, UEFI variables, SSH keys. Of a clone, the disk and the variables
 * are those of its source, which must not run meanwhile; of an instance of a template, the saved state, too.
 *
 * If the request names an image, the worker first gets it into the store, and links it there to the disk that the instance
 * is going to have: from then on no command removes it. The environment says where images come from
 * (agent/image/sources.h). Else the record names the image.
 */
struct worker_prepare {
    char *folder;
    char *source; /* the folder of the instance that it is a clone or made of; NULL = none */
    char *image;  /* "fedora", "fedora:44", a URL or a path; NULL = that of the record */
    char *arch;   /* "x86_64" or "aarch64": of the image */
    char *sha256; /* of the image, or NULL */
    bool unverified, allow_unsigned;
};
extern const struct pi_field worker_prepare_fields[];

struct worker_prepared {
    struct vm_image image; /* the one that the request named */
    char *note;            /* about it, for the user; or NULL */
};
extern const struct pi_field worker_prepared_fields[];

enum worker_snapshot_action {
    WORKER_SNAPSHOT_TAKE,   /* of an instance at rest: disk, variables, and its saved state, if it has one */
    WORKER_SNAPSHOT_FREEZE, /* of a QEMU that runs: only the disk; the snapshot is not decided yet */
    WORKER_SNAPSHOT_RESTORE, /* an instance at rest gets disk, variables, record and, unless cold, the saved state */
    WORKER_SNAPSHOT_REMOVE, /* those that stood on it stand on its parent */
    WORKER_SNAPSHOT_ACTIONS
};
extern const char *const worker_snapshot_action_names[];

/* A snapshot of the instance that has the folder (vm/snapshot_folder.h). */
struct worker_snapshot {
    char *folder, *tag;
    enum worker_snapshot_action action;
    uint64_t now_ms; /* CLOCK_REALTIME */
    bool cold;
};
extern const struct pi_field worker_snapshot_fields[];

struct worker_snapshot_done {
    char layer[32]; /* FREEZE: the one that the disk has become */
};
extern const struct pi_field worker_snapshot_done_fields[];

#endif
