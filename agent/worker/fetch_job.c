/* SPDX-License-Identifier: MIT */
/* The worker "fetch": gets an image into the store. */
#include <signal.h>

#include "agent/image/fetch.h"
#include "agent/worker/protocol.h"
#include "agent/worker/worker_main.h"

/* Global, because only the signal handler sets it. */
static volatile sig_atomic_t cancelled;

static void cancel_fetch(int signal)
{
    cancelled = signal;
}

static void write_progress(const struct image_progress *progress, void *user)
{
    (void)user;
    worker_write(WORKER_PROGRESS, pi_fields_write(image_progress_fields, progress));
}

int worker_run_fetch(const json_t *request, json_t **ret_result, struct pi_error *err)
{
    const struct sigaction action = {.sa_handler = cancel_fetch};
    struct worker_fetch wanted = {0};
    pi_auto_image struct image image = {0};
    sigaction(SIGTERM, &action, NULL);
    int r = pi_fields_read(worker_fetch_fields, request, false, &wanted, err);
    if (r == 0)
        r = image_fetch_for_user(&(struct image_request){.ref = wanted.image,
                                                         .arch = wanted.arch,
                                                         .sha256 = wanted.sha256,
                                                         .unverified = wanted.unverified,
                                                         .allow_unsigned = wanted.allow_unsigned,
                                                         .cancel = &cancelled},
                                 write_progress, NULL, &image, err);
    pi_fields_done(worker_fetch_fields, &wanted);
    *ret_result = r == 0 ? pi_fields_write(image_fields, &image) : NULL;
    return r;
}
