/* SPDX-License-Identifier: MIT */
/* The commands that look after the image store: "image ls", "image verify", "image rm", "image prune". */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/paths.h"
#include "agent/base/text.h"
#include "agent/cli/bar.h"
#include "agent/cli/commands.h"
#include "agent/cli/screen.h"
#include "agent/cli/table.h"
#include "agent/image/remove.h"
#include "agent/image/use.h"
#include "agent/image/verify.h"

#define PREFIX_MIN        4     /* hexadecimal digits that may name an image */
#define OLDER_THAN_MIN_MS 60000 /* less is a number that lacks its unit */

/* A signal handler has nothing else to write to. */
static volatile sig_atomic_t cancelled;

static void on_signal(int signal)
{
    cancelled = signal;
}

/* The store, what is in it and who uses that. */
struct shelf {
    struct pi_paths paths;
    struct image_store store;
    struct image_list list;
    json_t *use;
};

static void shelf_done(struct shelf *shelf)
{
    json_decref(shelf->use);
    image_list_done(&shelf->list);
    image_store_done(&shelf->store);
    pi_paths_done(&shelf->paths);
}
#define auto_shelf __attribute__((cleanup(shelf_done)))

static int shelf_open(struct shelf *ret, struct pi_error *err)
{
    auto_shelf struct shelf shelf = {.store = {.dir_fd = -1}};
    int r = pi_paths_find(&shelf.paths, err);
    if (r == 0)
        r = image_store_open(shelf.paths.images, &shelf.store, err);
    if (r == 0)
        r = image_store_list(&shelf.store, &shelf.list, err);
    if (r == 0)
        r = image_use_find(&shelf.store, shelf.paths.instances, &shelf.use, err);
    if (r < 0)
        return r;
    *ret = shelf;
    shelf = (struct shelf){.store = {.dir_fd = -1}};
    return 0;
}

static int refuse_unknown(const struct shelf *shelf, const char *text, struct pi_error *err)
{
    pi_auto_free const char **names = calloc(shelf->list.count + 1, sizeof *names);
    for (size_t i = 0; names && i < shelf->list.count; i++)
        names[i] = shelf->list.items[i].name;
    const char *nearest = names ? pi_nearest(text, names) : NULL;
    if (nearest)
        return pi_refuse(err, PI_NOT_FOUND, "no image is called '%.80s': did you mean %s?", text, nearest);
    return pi_refuse(err, PI_NOT_FOUND,
                     "no image is called '%.80s': name it by its file name or the first digits of its "
                     "SHA-256 (piagent image ls)",
                     text);
}

static int find(const struct shelf *shelf, const char *text, struct image **ret, struct pi_error *err)
{
    struct image *found = NULL;
    size_t length = strlen(text);
    bool prefix = length >= PREFIX_MIN && length <= IMAGE_SHA256_LENGTH && pi_is_hex(text, length);
    for (size_t i = 0; i < shelf->list.count; i++) {
        struct image *image = &shelf->list.items[i];
        if (strcmp(image->name, text) != 0 && !(prefix && !strncasecmp(image->sha256, text, length)))
            continue;
        if (found)
            return pi_refuse(
                err, PI_CONFLICT,
                "'%.80s' names several images: give more digits of the SHA-256 (piagent image ls)", text);
        found = image;
    }
    if (!found)
        return refuse_unknown(shelf, text, err);
    *ret = found;
    return 0;
}

struct ls_options {
    bool json;
};

static int list_json(const struct shelf *shelf, struct pi_error *err)
{
    json_auto_t *items = json_array();
    for (size_t i = 0; i < shelf->list.count; i++) {
        const struct image *image = &shelf->list.items[i];
        json_t *item = pi_fields_write(image_fields, image),
               *users = json_object_get(shelf->use, image->sha256);
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

static int add_row(const struct shelf *shelf, const struct image *image, struct libscols_table *table)
{
    char size[32], age[32], sha256[13];
    uint64_t now_ms = pi_realtime_ms();
    pi_auto_buf struct pi_buf users = {0};
    int r = image_use_names(shelf->use, image->sha256, &users);
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
    return cli_table_add(table, cells, NULL);
}

static int list_table(const struct shelf *shelf, struct pi_error *err)
{
    static const struct cli_column columns[] = {
        {"NAME", CLI_LEFT},        {"ARCH", CLI_LEFT},   {"RELEASE", CLI_LEFT},
        {"SIZE", CLI_RIGHT},       {"AGE", CLI_RIGHT},   {"TRUST", CLI_LEFT},
        {"USED BY", CLI_SHORTENS}, {"SHA256", CLI_LEFT}, {0},
    };
    pi_auto_table struct libscols_table *table = cli_table_new(columns, false);
    int r = table ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < shelf->list.count; i++)
        r = add_row(shelf, &shelf->list.items[i], table);
    return r < 0 ? pi_fail(err, -r, "image ls") : cli_table_print(table, err);
}

/* Machines that may use any of them. */
static int tell_unknown(const struct shelf *shelf, struct pi_error *err)
{
    pi_auto_buf struct pi_buf names = {0};
    int r = image_use_names(shelf->use, IMAGE_USE_UNKNOWN, &names);
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
    auto_shelf struct shelf shelf = {.store = {.dir_fd = -1}};
    int r = shelf_open(&shelf, err);
    if (r < 0 || (r = tell_unknown(&shelf, err)) < 0)
        return r;
    if (options->json)
        return list_json(&shelf, err);
    if (shelf.list.count)
        return list_table(&shelf, err);
    fprintf(stderr, "there is no image in %s yet: piagent image fetch fedora gets one\n", shelf.paths.images);
    return 0;
}

static void report(const struct image_progress *progress, void *user)
{
    pi_auto_buf struct pi_buf line = {0};
    if (cli_render_image(progress, cli_screen_width(user), &line) == 0)
        cli_screen_status(user, line.data);
}

static int verify_one(const struct shelf *shelf, struct image *image, struct cli_screen *screen,
                      struct pi_error *err)
{
    struct image_meter meter = {.report = report, .user = screen, .cancel = &cancelled};
    int r = image_store_verify(&shelf->store, image, &meter, err);
    cli_screen_clear(screen);
    return r;
}

/* What came of one: told at once, or kept for --json. */
static void tell_verified(json_t *verified, const struct image *image, int r, const struct pi_error *failure)
{
    char shown[256];
    if (!verified && r == 0)
        printf("%s  good\n", pi_text_clean(image->name, strlen(image->name), shown, sizeof shown));
    json_t *one =
        verified ? json_pack("{s:s,s:s,s:b}", "name", image->name, "sha256", image->sha256, "good", r == 0)
                 : NULL;
    if (one && r < 0)
        json_object_set_new(one, "error", cli_error_json(failure));
    if (one)
        json_array_append_new(verified, one);
}

/* What is no whole image any more, or cannot be told of; a failure before it is told here, unless it was. */
static int verify_damaged(const struct shelf *shelf, int first, bool told, struct pi_error *err)
{
    pi_auto_strv struct pi_strv damaged = {0}, unread = {0};
    struct pi_error ignored;
    int r = image_store_damaged(&shelf->store, &damaged, &unread, first < 0 ? &ignored : err);
    if (r < 0 || (!damaged.count && !unread.count))
        return first < 0 ? first : r;
    if (first < 0 && !told)
        cli_report(err);
    if (!damaged.count)
        return pi_refuse(err, PI_FAILED, "an image cannot be verified: %s%s", unread.items[0],
                         unread.count > 1 ? ", and it is not the only one" : "");
    return pi_refuse(
        err, PI_UNVERIFIED,
        "%s is damaged (its size or its provenance is wrong)%s: fetching the same image replaces it, "
        "piagent image prune removes it",
        damaged.items[0], damaged.count > 1 ? ", and it is not the only one" : "");
}

/* All of them are looked at; the last failure is the command's, what came before is told. */
static int run_verify(const struct cli_call *call, struct pi_error *err)
{
    const struct ls_options *options = call->values;
    json_auto_t *verified = options->json ? json_array() : NULL;
    const struct sigaction action = {.sa_handler = on_signal};
    auto_shelf struct shelf shelf = {.store = {.dir_fd = -1}};
    struct cli_screen screen;
    struct image *chosen = NULL;
    int r = shelf_open(&shelf, err), first = 0;
    if (r == 0 && call->count)
        r = find(&shelf, call->operands[0], &chosen, err);
    if (r < 0)
        return r;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    cli_screen_init(&screen);
    for (size_t i = 0; i < shelf.list.count && !cancelled; i++) {
        struct pi_error failure = {0};
        if (chosen && chosen != &shelf.list.items[i])
            continue;
        r = verify_one(&shelf, &shelf.list.items[i], &screen, &failure);
        tell_verified(verified, &shelf.list.items[i], r, &failure);
        if (r < 0 && first < 0 && !verified)
            cli_report(err);
        if (r < 0) {
            first = r;
            *err = failure;
        }
    }
    if (verified && (r = cli_json_print(verified, first < 0 ? NULL : err)) < 0)
        return first < 0 ? first : r;
    return call->count ? first : verify_damaged(&shelf, first, verified, err);
}

static int run_rm(const struct cli_call *call, struct pi_error *err)
{
    auto_shelf struct shelf shelf = {.store = {.dir_fd = -1}};
    struct image *image;
    int r = shelf_open(&shelf, err);
    for (unsigned i = 0; r == 0 && i < call->count; i++)
        r = find(&shelf, call->operands[i], &image, err);
    for (unsigned i = 0; r == 0 && i < call->count; i++)
        if ((r = find(&shelf, call->operands[i], &image, err)) == 0)
            r = image_store_remove(&shelf.store, image, shelf.paths.instances, err);
    return r;
}

struct prune_options {
    uint64_t older_than_ms;
    bool dry_run, json;
};

/* What goes: told at once, or kept for --json. */
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

/* Those that a machine needs are left: a fetch of the same image replaces them. */
static int prune_damaged(const struct shelf *shelf, bool dry_run, json_t *removed, uint64_t *freed_bytes,
                         struct pi_error *err)
{
    pi_auto_strv struct pi_strv damaged = {0}, unread = {0};
    int r = image_store_damaged(&shelf->store, &damaged, &unread, err);
    for (size_t i = 0; i < unread.count; i++)
        fprintf(stderr, "note: %s: its image is left in the store\n", unread.items[i]);
    for (size_t i = 0; r == 0 && i < damaged.count; i++) {
        uint64_t bytes = 0;
        r = image_store_remove_damaged(&shelf->store, damaged.items[i], shelf->paths.instances, dry_run,
                                       &bytes, err);
        *freed_bytes += bytes;
        if (r == 0)
            tell_removed(removed, damaged.items[i], true, bytes);
        else if (err->kind == PI_CONFLICT)
            r = 0;
    }
    return r;
}

/* Whether an image goes: 1, or 0 where a machine uses it, also since the list was made. */
static int prune_one(const struct shelf *shelf, const struct image *image, bool dry_run, struct pi_error *err)
{
    int r = image_use_check(shelf->use, image->sha256, image->name, err);
    if (r == 0 && !dry_run)
        r = image_store_remove(&shelf->store, image, shelf->paths.instances, err);
    return r == 0 ? 1 : err->kind == PI_CONFLICT ? 0 : r;
}

static int run_prune(const struct cli_call *call, struct pi_error *err)
{
    const struct prune_options *options = call->values;
    auto_shelf struct shelf shelf = {.store = {.dir_fd = -1}};
    uint64_t now_ms = pi_realtime_ms(), freed_bytes = 0;
    json_auto_t *removed = options->json ? json_array() : NULL;
    if (options->older_than_ms && options->older_than_ms < OLDER_THAN_MIN_MS)
        return pi_refuse(err, PI_USAGE,
                         "--older-than is less than a minute: write it with its unit, 5d for five days");
    int r = shelf_open(&shelf, err);
    for (size_t i = 0; r == 0 && i < shelf.list.count; i++) {
        const struct image *image = &shelf.list.items[i];
        bool young = options->older_than_ms && image->fetched_ms + options->older_than_ms > now_ms;
        int gone = young ? 0 : prune_one(&shelf, image, options->dry_run, err);
        r = gone < 0 ? gone : 0;
        if (gone > 0) {
            freed_bytes += image->size_bytes;
            tell_removed(removed, image->name, false, image->size_bytes);
        }
    }
    if (r == 0)
        r = prune_damaged(&shelf, options->dry_run, removed, &freed_bytes, err);
    if (r == 0)
        freed_bytes += image_store_prune_partials(&shelf.store, options->older_than_ms, options->dry_run);
    return r < 0 ? r : tell_freed(removed, freed_bytes, options->dry_run, err);
}

static const struct cli_option ls_table[] = {
    {.name = "json", .type = CLI_FLAG, .offset = offsetof(struct ls_options, json), .help = "as JSON"},
    {0},
};
static const struct cli_option prune_table[] = {
    {.name = "older-than",
     .type = CLI_DURATION,
     .argument = "TIME",
     .offset = offsetof(struct prune_options, older_than_ms),
     .help = "only those fetched longer ago than that: 30d, 12h"},
    {.name = "dry-run",
     .type = CLI_FLAG,
     .offset = offsetof(struct prune_options, dry_run),
     .help = "only tell what would be removed"},
    {.name = "json",
     .type = CLI_FLAG,
     .offset = offsetof(struct prune_options, json),
     .help = "what was removed, as JSON"},
    {0},
};

const struct cli_command cli_command_image_ls = {
    .name = "image ls",
    .summary = "lists the images that are here",
    .example = "piagent image ls --json",
    .options = ls_table,
    .values_size = sizeof(struct ls_options),
    .run = run_ls,
};
const struct cli_command cli_command_image_verify = {
    .name = "image verify",
    .operands = "[IMAGE]",
    .summary = "hashes the stored images, or one, again",
    .details = "IMAGE is a file name or the first digits of a SHA-256, as image ls shows them.",
    .example = "piagent image verify",
    .options = ls_table,
    .values_size = sizeof(struct ls_options),
    .max_operands = 1,
    .operand = CLI_STORED_IMAGE,
    .run = run_verify,
};
const struct cli_command cli_command_image_rm = {
    .name = "image rm",
    .operands = "IMAGE...",
    .summary = "removes images that no machine uses",
    .details = "IMAGE is a file name or the first digits of a SHA-256, as image ls shows them.",
    .example = "piagent image rm 6205ae0c",
    .min_operands = 1,
    .max_operands = 64,
    .operand = CLI_STORED_IMAGE,
    .destructive = true,
    .run = run_rm,
};
const struct cli_command cli_command_image_prune = {
    .name = "image prune",
    .summary = "removes all images that no machine uses, and unfinished downloads",
    .details = "A machine uses an image that its disk stands on, also a machine of another XDG_DATA_HOME.",
    .example = "piagent image prune --older-than 720h --dry-run",
    .options = prune_table,
    .values_size = sizeof(struct prune_options),
    .destructive = true,
    .run = run_prune,
};
