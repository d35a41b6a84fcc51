/* SPDX-License-Identifier: MIT */
/* How far a fetch is. */
#ifndef PIAGENT_IMAGE_PROGRESS_H
#define PIAGENT_IMAGE_PROGRESS_H

#include <stdint.h>

#include "agent/base/fields.h"

enum image_phase {
    IMAGE_RESOLVING,   /* reading the index or a CHECKSUM file */
    IMAGE_WAITING,     /* another process is fetching the same image: its progress */
    IMAGE_DOWNLOADING, /* from a URL */
    IMAGE_COPYING,     /* from a local file */
    IMAGE_CHECKING,    /* hashing or flushing what is here already */
    IMAGE_DONE,
    IMAGE_PHASES
};

/* "resolving", "waiting", "downloading", "copying", "checking", "done", NULL. */
extern const char *const image_phase_names[];

struct image_progress {
    enum image_phase phase;
    char name[256]; /* the image's file name, or the reference while that is not known */
    uint64_t done_bytes;
    uint64_t total_bytes; /* 0 = unknown, and left out of the JSON */
    uint64_t rate_bytes_per_s;
};

/* For JSON lines: written and read by one table. */
extern const struct pi_field image_progress_fields[];

/* Called at each change of phase, else at most five times a second. */
typedef void (*image_progress_fn)(const struct image_progress *progress, void *user);

#endif
