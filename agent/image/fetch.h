/*
 * Gets an image into the store: finds out which one is meant, downloads or imports it while hashing, compares
 * it with its published SHA-256, looks at its header, and publishes it. Blocking: it runs in the process
 * `piagent image fetch`, or anything else that may wait.
 *
 * Nothing is left behind by a fetch that fails or is cancelled. Several processes may fetch at once: one
 * downloads, the others wait for its result.
 */
#ifndef PIAGENT_IMAGE_FETCH_H
#define PIAGENT_IMAGE_FETCH_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/base/error.h"
#include "agent/base/fields.h"
#include "agent/image/image.h"
#include "agent/image/sources.h"
#include "agent/image/store.h"

struct image_request {
    const char *ref;    /* "fedora", "fedora:44", an http(s) URL or a local path: see ref.h */
    const char *arch;   /* "x86_64" or "aarch64" */
    const char *sha256; /* --image-sha256, or NULL */
    bool unverified;    /* --image-unverified: take it where no checksum is known */
    const volatile sig_atomic_t
        *cancel; /* the fetch ends with -ECANCELED soon after it is not 0; may be NULL */
};

enum image_phase {
    IMAGE_RESOLVING,   /* reading the index or a CHECKSUM file */
    IMAGE_WAITING,     /* another process is fetching the same image: its progress */
    IMAGE_DOWNLOADING, /* from a URL */
    IMAGE_COPYING,     /* from a local file */
    IMAGE_CHECKING,    /* hashing or flushing what is here already */
    IMAGE_DONE,
};

/* "resolving", "waiting", "downloading", "copying", "checking", "done", NULL. */
extern const char *const image_phase_names[];

struct image_progress {
    enum image_phase phase;
    char name[256]; /* the image's file name, or the reference while that is not known */
    uint64_t done_bytes;
    uint64_t total_bytes; /* 0 = unknown */
    uint64_t rate_bytes_per_s;
};

/* For JSON lines: written and read by one table. */
extern const struct pi_field image_progress_fields[];

/* Called at each change of phase, else at most ten times a second. */
typedef void (*image_progress_fn)(const struct image_progress *progress, void *user);

/*
 * Fetches the image unless the store has it; a Fedora release that is there needs no network. *ret is the
 * caller's: image_done().
 *
 * Errors: PI_USAGE (the reference, architecture or sha256 cannot be understood), PI_NOT_FOUND (no such
 * release, file or URL), PI_UNVERIFIED (no checksum is known and unverified was not asked for, the checksum
 * is wrong, or the image is not safe to boot), PI_NETWORK, PI_HOST (not enough disk space: says how much is
 * missing), and PI_FAILED with -ECANCELED.
 */
int image_fetch(const struct image_store *store, const struct image_sources *sources,
                const struct image_request *request, image_progress_fn progress, void *user,
                struct image *ret, struct pi_error *err);

#endif
