/* SPDX-License-Identifier: MIT */
/* A part of the worker "prepare": gets an image into the store for an instance, and checks that it is for its architecture. */
#include <errno.h>
#include <signal.h>

#include "agent/image/arch.h"
#include "agent/image/fetch.h"
#include "agent/image/partial.h"
#include "agent/image/use.h"
#include "agent/vm/argv.h"
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

_Static_assert(__builtin_strcmp(VM_DISK_FILE, IMAGE_USE_DISK) == 0,
               "the disk that links in the store lead to");

static int fetch_and_link(const struct worker_prepare *wanted, struct image *ret, struct pi_error *err)
{
    const struct image_request request = {.ref = wanted->image,
                                          .arch = wanted->arch,
                                          .sha256 = wanted->sha256,
                                          .unverified = wanted->unverified,
                                          .allow_unsigned = wanted->allow_unsigned,
                                          .cancel = &cancelled};
    int r = image_fetch_for_user(&request, write_progress, NULL, ret, err);
    return r < 0 ? r : image_use_add(ret->path, ret->sha256, wanted->folder, err);
}

/* The image never changes, so that it is looked at once. An image that cannot be read is QEMU's to refuse. */
static int check_arch(struct image *image, const struct worker_prepare *wanted, struct pi_error *err)
{
    pi_auto_image_store struct image_store store = {.dir_fd = -1};
    if (!image->partitions_arch[0] && image_arch_find(image, wanted->folder) == 0 &&
        image_store_open_of(image->path, &store, NULL) == 0)
        (void)image_store_record(&store, image, NULL); /* else the next instance looks again */
    return image_arch_check(image, wanted->arch, err);
}

int worker_get_image(const struct worker_prepare *wanted, struct image *ret, struct pi_error *err)
{
    const struct sigaction action = {.sa_handler = cancel_fetch};
    pi_auto_image struct image image = {0};
    sigaction(SIGTERM, &action, NULL);
    int r = fetch_and_link(wanted, &image, err);
    if (r == -ENOENT && image.path) { /* another command removed it before it was linked */
        image_done(&image);
        image = (struct image){0};
        r = fetch_and_link(wanted, &image, err);
    }
    signal(SIGTERM, SIG_DFL);
    if (r == 0 && cancelled)
        r = pi_refuse(err, PI_FAILED, "the creation was cancelled");
    if (r == 0)
        r = check_arch(&image, wanted, err);
    if (r < 0)
        return r;
    *ret = image;
    image = (struct image){0};
    return 0;
}
