/* SPDX-License-Identifier: MIT */
/* "image ls" lists the images in the store. */
#include <errno.h>
#include <stdio.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/text.h"
#include "agent/cli/client/stored_images.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/terminal/table.h"

struct ls_options {
    bool json;
};

static int list_json(const struct cli_images *images, struct pi_error *err)
{
    json_auto_t *items = json_array();
    for (size_t i = 0; i < images->list.count; i++) {
        const struct image *image = &images->list.items[i];
        json_t *item = pi_fields_write(image_fields, image),
               *users = json_object_get(images->use, image->sha256);
        json_object_set_new(item, "used_by", users ? json_incref(users) : json_array());
        json_array_append_new(items, item);
    }
    json_auto_t *shown = json_pack("{sO}", "images", items);
    return shown ? cli_json_print(shown, err) : pi_fail(err, ENOMEM, "image ls");
}

static const char *trust_of(const struct image *image)
{
    if (!image->verified)
        return "unverified";
    return image->signer ? "signed" : image->allow_unsigned ? "unsigned" : "checksum";
}

static int add_row(const struct cli_images *images, const struct image *image, struct libscols_table *table)
{
    char size[32], age[32], sha256[13];
    uint64_t now_ms = pi_realtime_ms();
    pi_auto_buf struct pi_buf users = {0};
    int r = image_use_names(images->use, image->sha256, &users);
    if (r < 0)
        return r;
    snprintf(sha256, sizeof sha256, "%.12s", image->sha256);
    const char *const cells[] = {
        image->name,
        image->arch,
        image->release,
        pi_size_format(image->size_bytes, size),
        pi_duration_format(now_ms > image->fetched_ms ? now_ms - image->fetched_ms : 0, age),
        trust_of(image),
        users.data,
        sha256,
    };
    return cli_table_add(table, cells, CLI_PLAIN);
}

static int list_table(const struct cli_images *images, struct pi_error *err)
{
    static const struct cli_column columns[] = {
        {"NAME", CLI_LEFT},        {"ARCH", CLI_LEFT},   {"RELEASE", CLI_LEFT},
        {"SIZE", CLI_RIGHT},       {"AGE", CLI_RIGHT},   {"TRUST", CLI_LEFT},
        {"USED BY", CLI_SHORTENS}, {"SHA256", CLI_LEFT}, {0},
    };
    pi_auto_table struct libscols_table *table = cli_table_new(columns, false);
    int r = table ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < images->list.count; i++)
        r = add_row(images, &images->list.items[i], table);
    return r < 0 ? pi_fail(err, -r, "image ls") : cli_table_print(table, err);
}

/* Tells which instances may use any of them. */
static int tell_unknown(const struct cli_images *images, struct pi_error *err)
{
    pi_auto_buf struct pi_buf names = {0};
    int r = image_use_names(images->use, IMAGE_USE_UNKNOWN, &names);
    if (r < 0)
        return pi_fail(err, -r, "image ls");
    if (names.size)
        fprintf(stderr,
                "note: cannot tell which image %s uses: neither its disk nor its record can be read\n",
                names.data);
    return 0;
}

static int run_ls(const struct cli_call *call, struct pi_error *err)
{
    const struct ls_options *options = call->values;
    pi_auto_images struct cli_images images = {.store = {.dir_fd = -1}};
    int r = cli_images_open(&images, err);
    if (r == 0 && images.list.count) /* an empty store needs no agent */
        r = cli_images_find_users(&images, err);
    if (r < 0 || (r = tell_unknown(&images, err)) < 0)
        return r;
    if (options->json)
        return list_json(&images, err);
    if (images.list.count)
        return list_table(&images, err);
    fprintf(stderr, "there is no image in %s yet: piagent image fetch fedora gets one\n",
            images.paths.images);
    return 0;
}

static const struct cli_option ls_table[] = {
    {.name = "json", CLI_MEMBER(CLI_FLAG, ls_options, json), .help = "as JSON"},
    {0},
};
const struct cli_command cli_command_image_ls = {
    .name = "image ls",
    .summary = "lists the images that are here",
    .example = "piagent image ls --json",
    .options = ls_table,
    .values_size = sizeof(struct ls_options),
    .site = CLI_THERE,
    .run = run_ls,
};
