/* SPDX-License-Identifier: MIT */
#include "agent/cli/client/stored_images.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"
#include "agent/cli/client/chosen.h"

#define PREFIX_MIN 4 /* hexadecimal digits that may name an image */

void cli_images_done(struct cli_images *images)
{
    json_decref(images->recorded);
    json_decref(images->use);
    image_list_done(&images->list);
    image_store_done(&images->store);
    pi_paths_done(&images->paths);
}

int cli_images_open(struct cli_images *ret, struct pi_error *err)
{
    pi_auto_images struct cli_images opened = {.store = {.dir_fd = -1}};
    int r = pi_paths_find(&opened.paths, err);
    if (r == 0)
        r = image_store_open(opened.paths.images, &opened.store, err);
    if (r == 0)
        r = image_store_list(&opened.store, &opened.list, err);
    if (r < 0)
        return r;
    *ret = opened;
    opened = (struct cli_images){.store = {.dir_fd = -1}};
    return 0;
}

/* {FOLDER: SHA256} of all instances that have an image. */
static int ask_for_users(json_t *ret, struct pi_error *err)
{
    pi_auto_agent struct cli_agent agent = {0};
    pi_auto_chosen struct cli_chosen all = {0};
    int r = cli_connect(&agent, err);
    if (r == 0)
        r = cli_choose(&agent, NULL, &(struct cli_selection){.all = true}, CLI_MACHINE, &all, err);
    for (size_t i = 0; i < all.count; i++) {
        const struct api_instance *instance = &all.items[i];
        if (instance->folder && instance->image_sha256)
            json_object_set_new(ret, instance->folder, json_string(instance->image_sha256));
    }
    return r;
}

struct image_instances cli_images_instances(const struct cli_images *images)
{
    return (struct image_instances){.folder = images->paths.instances, .images = images->recorded};
}

int cli_images_find_users(struct cli_images *images, struct pi_error *err)
{
    if (images->use)
        return 0;
    if (!images->recorded)
        images->recorded = json_object();
    if (!images->recorded)
        return pi_fail(err, ENOMEM, "cannot tell who uses images");
    int r = ask_for_users(images->recorded, err);
    const struct image_instances instances = cli_images_instances(images);
    return r < 0 ? r : image_use_find(&images->store, &instances, &images->use, err);
}

static int refuse_unknown(const struct cli_images *images, const char *text, struct pi_error *err)
{
    pi_auto_free const char **names = calloc(images->list.count + 1, sizeof *names);
    char suggestion[PI_SUGGESTION_SIZE];
    for (size_t i = 0; names && i < images->list.count; i++)
        names[i] = images->list.items[i].name;
    static const char otherwise[] =
        "name it by its file name or the first digits of its SHA-256 (piagent image ls)";
    return pi_refuse(err, PI_NOT_FOUND, "no image is called '%.80s': %s", text,
                     names ? pi_suggest(text, names, otherwise, suggestion) : otherwise);
}

int cli_images_find(const struct cli_images *images, const char *text, struct image **ret,
                    struct pi_error *err)
{
    struct image *found = NULL;
    size_t length = strlen(text);
    bool prefix = length >= PREFIX_MIN && length <= IMAGE_SHA256_LENGTH && pi_is_hex(text, length);
    for (size_t i = 0; i < images->list.count; i++) {
        struct image *image = &images->list.items[i];
        if (strcmp(image->name, text) != 0 && !(prefix && !strncasecmp(image->sha256, text, length)))
            continue;
        if (found)
            return pi_refuse(
                err, PI_CONFLICT,
                "'%.80s' names several images: give more digits of the SHA-256 (piagent image ls)", text);
        found = image;
    }
    if (!found)
        return refuse_unknown(images, text, err);
    *ret = found;
    return 0;
}
