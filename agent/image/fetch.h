/* SPDX-License-Identifier: MIT */
/*
 * Gets an image into the store. It finds out which image the user means, downloads or imports it while it
 * hashes it, compares it with its published SHA-256, checks its header, and publishes it. Blocks: `piagent
 * image fetch` and the agent's workers call it.
 *
 * A fetch that fails or is cancelled leaves nothing behind, except a partial that a later fetch can go on
 * with. Several processes may fetch at once: one downloads, the others wait for its result.
 */
#ifndef PIAGENT_IMAGE_FETCH_H
#define PIAGENT_IMAGE_FETCH_H

#include <signal.h>
#include <stdbool.h>

#include "agent/base/error.h"
#include "agent/image/progress.h"
#include "agent/image/provenance.h"
#include "agent/image/sources.h"
#include "agent/image/store.h"

struct image_request {
    const char *ref;    /* "fedora", "fedora:44", an http(s) URL or a local path: see ref.h */
    const char *arch;   /* "x86_64" or "aarch64" */
    const char *sha256; /* --sha256, or NULL */
    bool unverified;    /* --unverified: take it even if no checksum is known */
    /* --allow-unsigned: take a Fedora image without a good signature; unverified implies it */
    bool allow_unsigned;
    /* the fetch ends with -ECANCELED soon after it is not 0; may be NULL */
    const volatile sig_atomic_t *cancel;
};

/*
 * Fetches the image unless the store has it; a Fedora release that is there needs no network. *ret is the
 * caller's: image_done().
 *
 * Errors: PI_USAGE (the reference, architecture or sha256 cannot be understood), PI_NOT_FOUND (no such
 * release, file or URL), PI_UNVERIFIED (no checksum is known and unverified is not set, the
 * signature is missing or bad and allow_unsigned is not set, the checksum is wrong, or the image is not safe
 * to boot), PI_NETWORK, PI_HOST (too little disk space: the message says how much is missing), and PI_FAILED
 * with -ECANCELED.
 */
int image_fetch(const struct image_store *store, const struct image_sources *sources,
                const struct image_request *request, image_progress_fn progress, void *user,
                struct image *ret, struct pi_error *err);

/* The same with the store and the sources of the user that this process runs as. */
int image_fetch_for_user(const struct image_request *request, image_progress_fn progress, void *user,
                         struct image *ret, struct pi_error *err);

/*
 * What is known of the image before it is fetched: from the file's header, or because the store has it. No network, and no more
 * than the header is read. Nothing known: ret->path and ret->name are NULL, and its sizes 0. PI_USAGE, PI_NOT_FOUND and PI_UNVERIFIED,
 * as a fetch would fail. *ret is the caller's: image_done().
 */
int image_expect_for_user(const struct image_request *request, struct image *ret, struct pi_error *err);

#endif
