/* SPDX-License-Identifier: MIT */
/* "image prune" removes all images that no instance uses. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/text.h"
#include "agent/cli/client/stored_images.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/terminal/table.h"
#include "agent/image/remove.h"

#define OLDER_THAN_MIN_MS 60000 /* less is a number that lacks its unit */

struct prune_options {
    uint64_t older_than_ms;
    bool dry_run, json;
};

/* Tells that an image goes, or keeps it for --json. */
static void tell_removed(json_t *removed, const char *name, bool damaged, uint64_t size_bytes)
{
    char size[32], shown[256];
    if (removed)
        json_array_append_new(removed, json_pack("{s:s,s:b,s:I}", "name", name, "damaged", damaged,
                                                 "size_bytes", (json_int_t)size_bytes));
    else
        printf("%s  %s\n", pi_text_clean(name, strlen(name), shown, sizeof shown),
               damaged ? "damaged" : pi_size_format(size_bytes, size));
}

static int tell_freed(json_t *removed, uint64_t freed_bytes, bool dry_run, struct pi_error *err)
{
    char size[32];
    if (!removed) {
        printf("%s %s\n", pi_size_format(freed_bytes, size), dry_run ? "would be freed" : "freed");
        return 0;
    }
    json_auto_t *shown = json_pack("{s:O,s:I,s:b}", "images", removed, "freed_bytes", (json_int_t)freed_bytes,
                                   "dry_run", dry_run);
    return shown ? cli_json_print(shown, err) : pi_fail(err, ENOMEM, "image prune");
}

/* Removes damaged images. Those that an instance needs stay: a fetch of the same image replaces them. */
static int prune_damaged(struct cli_images *images, bool dry_run, json_t *removed, uint64_t *freed_bytes,
                         struct pi_error *err)
{
    pi_auto_strv struct pi_strv damaged = {0}, unread = {0};
    int r = image_store_damaged(&images->store, &damaged, &unread, err);
    if (r == 0 && damaged.count)
        r = cli_images_find_users(images, err);
    const struct image_instances instances = cli_images_instances(images);
    for (size_t i = 0; i < unread.count; i++)
        fprintf(stderr, "note: %s: its image is left in the store\n", unread.items[i]);
    for (size_t i = 0; r == 0 && i < damaged.count; i++) {
        uint64_t bytes = 0;
        r = image_store_remove_damaged(&images->store, damaged.items[i], &instances, dry_run, &bytes, err);
        *freed_bytes += bytes;
        if (r == 0)
            tell_removed(removed, damaged.items[i], true, bytes);
        else if (err->kind == PI_CONFLICT)
            r = 0;
    }
    return r;
}

/* 1 if the image goes, 0 if an instance uses it, perhaps only since the list was made. */
static int prune_one(const struct cli_images *images, const struct image *image, bool dry_run,
                     struct pi_error *err)
{
    const struct image_instances instances = cli_images_instances(images);
    int r = image_use_check(images->use, image->sha256, image->name, err);
    if (r == 0 && !dry_run)
        r = image_store_remove(&images->store, image, &instances, err);
    return r == 0 ? 1 : err->kind == PI_CONFLICT ? 0 : r;
}

static int run_prune(const struct cli_call *call, struct pi_error *err)
{
    const struct prune_options *options = call->values;
    pi_auto_images struct cli_images images = {.store = {.dir_fd = -1}};
    uint64_t now_ms = pi_realtime_ms(), freed_bytes = 0;
    json_auto_t *removed = options->json ? json_array() : NULL;
    if (options->older_than_ms && options->older_than_ms < OLDER_THAN_MIN_MS)
        return pi_refuse(err, PI_USAGE,
                         "--older-than is less than a minute: write it with its unit, 5d for five days");
    int r = cli_images_open(&images, err);
    if (r == 0 && images.list.count)
        r = cli_images_find_users(&images, err);
    for (size_t i = 0; r == 0 && i < images.list.count; i++) {
        const struct image *image = &images.list.items[i];
        bool young = options->older_than_ms && image->fetched_ms + options->older_than_ms > now_ms;
        int gone = young ? 0 : prune_one(&images, image, options->dry_run, err);
        r = gone < 0 ? gone : 0;
        if (gone > 0) {
            freed_bytes += image->size_bytes;
            tell_removed(removed, image->name, false, image->size_bytes);
        }
    }
    if (r == 0)
        r = prune_damaged(&images, options->dry_run, removed, &freed_bytes, err);
    if (r == 0)
        freed_bytes += image_store_prune_partials(&images.store, options->older_than_ms, options->dry_run);
    return r < 0 ? r : tell_freed(removed, freed_bytes, options->dry_run, err);
}

static const struct cli_option prune_table[] = {
    {.name = "older-than",
     CLI_MEMBER(CLI_DURATION, prune_options, older_than_ms),
     .argument = "TIME",
     .help = "only those fetched longer ago than that: 30d, 12h"},
    {.name = "dry-run",
     CLI_MEMBER(CLI_FLAG, prune_options, dry_run),
     .help = "only tell which images would go"},
    {.name = "json", CLI_MEMBER(CLI_FLAG, prune_options, json), .help = "what was removed, as JSON"},
    {0},
};

const struct cli_command cli_command_image_prune = {
    .name = "image prune",
    .summary = "removes all images that no instance uses, and unfinished downloads",
    .details =
        "An instance uses the image that its disk was made from, also an instance of another XDG_DATA_HOME.",
    .example = "piagent image prune --older-than 720h --dry-run",
    .options = prune_table,
    .values_size = sizeof(struct prune_options),
    .destructive = true,
    .site = CLI_THERE,
    .run = run_prune,
};
