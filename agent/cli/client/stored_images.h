/* SPDX-License-Identifier: MIT */
/* The images in the store, which of them a word means, and which instances use them. */
#ifndef PIAGENT_CLI_STORED_IMAGES_H
#define PIAGENT_CLI_STORED_IMAGES_H

#include "agent/base/paths.h"
#include "agent/image/store.h"
#include "agent/image/use.h"

struct cli_images {
    struct pi_paths paths;
    struct image_store store;
    struct image_list list;
    json_t *recorded; /* the agent's words, for struct image_instances */
    json_t *use;      /* as image_use_find() tells it */
};

/* Zeroed memory with .store.dir_fd = -1 is a valid one, with nothing in it. */
int cli_images_open(struct cli_images *ret, struct pi_error *err);

/* Asks the agent which instances use them, once. Starts an agent if none runs. */
int cli_images_find_users(struct cli_images *images, struct pi_error *err);

/* The instances, for a removal. Borrowed. */
struct image_instances cli_images_instances(const struct cli_images *images);

void cli_images_done(struct cli_images *images);
#define pi_auto_images __attribute__((cleanup(cli_images_done)))

/* The image of that file name, or whose SHA-256 begins so. PI_NOT_FOUND names the nearest one; PI_CONFLICT if
 * several fit. Borrowed. */
int cli_images_find(const struct cli_images *images, const char *text, struct image **ret,
                    struct pi_error *err);

#endif
