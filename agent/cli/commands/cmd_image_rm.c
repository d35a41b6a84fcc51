/* SPDX-License-Identifier: MIT */
/* "image rm" removes images that no instance uses. */
#include "agent/cli/client/stored_images.h"
#include "agent/cli/commands/command_table.h"
#include "agent/image/remove.h"

static int run_image_rm(const struct cli_call *call, struct pi_error *err)
{
    pi_auto_images struct cli_images images = {.store = {.dir_fd = -1}};
    struct image *image;
    int r = cli_images_open(&images, err);
    for (unsigned i = 0; r == 0 && i < call->count; i++)
        r = cli_images_find(&images, call->operands[i], &image, err);
    if (r == 0)
        r = cli_images_find_users(&images, err);
    const struct image_instances instances = cli_images_instances(&images);
    for (unsigned i = 0; r == 0 && i < call->count; i++)
        if ((r = cli_images_find(&images, call->operands[i], &image, err)) == 0)
            r = image_store_remove(&images.store, image, &instances, err);
    return r;
}

const struct cli_command cli_command_image_rm = {
    .name = "image rm",
    .operands = "IMAGE...",
    .summary = "removes images that no instance uses",
    .details = "IMAGE is a file name or the first digits of a SHA-256, as image ls shows them.",
    .example = "piagent image rm 6205ae0c",
    .min_operands = 1,
    .max_operands = 64,
    .operand = CLI_STORED_IMAGE,
    .destructive = true,
    .site = CLI_THERE,
    .run = run_image_rm,
};
