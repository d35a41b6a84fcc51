/* SPDX-License-Identifier: MIT */
/*
 * How the agent and its workers talk. A worker is `piagent worker KIND`, a child process that does one job
 * which takes its time.
 *
 * Its standard input holds the request, one JSON object. On its standard output it writes JSON lines, an
 * object with one key each:
 *
 *   {"progress": {...}}                           as often as it likes
 *   {"result": {...}}                             the last line, if it succeeded
 *   {"error": {"kind": "...", "message": "..."}}  the last line, if it failed
 *
 *   KIND     request         progress               result
 *   fetch    worker_fetch    image_progress_fields  image_fields
 *   prepare  worker_prepare  none                   {}
 *
 * SIGTERM cancels it. Its standard error is the agent's log. Its exit code is that of enum pi_kind.
 */
#ifndef PIAGENT_WORKER_PROTOCOL_H
#define PIAGENT_WORKER_PROTOCOL_H

#include <stdbool.h>

#include "agent/base/fields.h"

#define WORKER_PROGRESS "progress"
#define WORKER_RESULT   "result"
#define WORKER_ERROR    "error"

#define WORKER_LINE_MAX ((size_t)64 << 10)

enum worker_kind { WORKER_FETCH, WORKER_PREPARE, WORKER_KINDS };
/* "fetch", "prepare", NULL. */
extern const char *const worker_kind_names[];

/* Gets an image into the store. The environment says where images come from (agent/image/sources.h). */
struct worker_fetch {
    char *image;  /* "fedora", "fedora:44", a URL or a path */
    char *arch;   /* "x86_64" or "aarch64" */
    char *sha256; /* or NULL */
    bool unverified, allow_unsigned;
};
extern const struct pi_field worker_fetch_fields[];

/* Makes what an instance's folder needs besides its record: disk, UEFI variables, SSH keys. */
struct worker_prepare {
    char *folder;
};
extern const struct pi_field worker_prepare_fields[];

#endif
