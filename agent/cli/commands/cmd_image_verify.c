/* SPDX-License-Identifier: MIT */
/* "image verify" hashes the images in the store again. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/failure.h"
#include "agent/base/text.h"
#include "agent/cli/client/stored_images.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/terminal/bar.h"
#include "agent/cli/terminal/error_report.h"
#include "agent/cli/terminal/screen.h"
#include "agent/cli/terminal/table.h"
#include "agent/image/remove.h"
#include "agent/image/verify.h"

struct verify_options {
    bool json;
};

/* A signal handler has nothing else to write to. */
static volatile sig_atomic_t cancelled;

static void on_verify_signal(int signal)
{
    cancelled = signal;
}

static void report_verify_progress(const struct image_progress *progress, void *user)
{
    pi_auto_buf struct pi_buf line = {0};
    if (cli_render_image(progress, cli_screen_width(user), &line) == 0)
        cli_screen_status(user, line.data);
}

static int verify_one(const struct cli_images *images, struct image *image, struct cli_screen *screen,
                      struct pi_error *err)
{
    struct image_meter meter = {.report = report_verify_progress, .user = screen, .cancel = &cancelled};
    int r = image_store_verify(&images->store, image, &meter, err);
    cli_screen_clear(screen);
    return r;
}

/* Tells the result for one image, or keeps it for --json. */
static void tell_verified(json_t *verified, const struct image *image, int r, const struct pi_error *failure)
{
    char shown[256];
    if (!verified && r == 0)
        printf("%s  good\n", pi_text_clean(image->name, strlen(image->name), shown, sizeof shown));
    json_t *one =
        verified ? json_pack("{s:s,s:s,s:b}", "name", image->name, "sha256", image->sha256, "good", r == 0)
                 : NULL;
    if (one && r < 0)
        json_object_set_new(one, "error", pi_failure_write(failure));
    if (one)
        json_array_append_new(verified, one);
}

/* Fails if the store holds images that are not whole, or cannot be read. first is an earlier failure; it is
 * told here if it was not told yet. */
static int verify_damaged(const struct cli_images *images, int first, bool told, struct pi_error *err)
{
    pi_auto_strv struct pi_strv damaged = {0}, unread = {0};
    struct pi_error ignored;
    int r = image_store_damaged(&images->store, &damaged, &unread, first < 0 ? &ignored : err);
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

/* Looks at all of them. The last failure is the command's; earlier ones are told at once. */
static int run_verify(const struct cli_call *call, struct pi_error *err)
{
    const struct verify_options *options = call->values;
    json_auto_t *verified = options->json ? json_array() : NULL;
    const struct sigaction action = {.sa_handler = on_verify_signal};
    pi_auto_images struct cli_images images = {.store = {.dir_fd = -1}};
    struct cli_screen screen;
    struct image *chosen = NULL;
    int r = cli_images_open(&images, err), first = 0;
    if (r == 0 && call->count)
        r = cli_images_find(&images, call->operands[0], &chosen, err);
    if (r < 0)
        return r;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    cli_screen_init(&screen);
    for (size_t i = 0; i < images.list.count && !cancelled; i++) {
        struct pi_error failure = {0};
        if (chosen && chosen != &images.list.items[i])
            continue;
        r = verify_one(&images, &images.list.items[i], &screen, &failure);
        tell_verified(verified, &images.list.items[i], r, &failure);
        if (r < 0 && first < 0 && !verified)
            cli_report(err);
        if (r < 0) {
            first = r;
            *err = failure;
        }
    }
    if (verified && (r = cli_json_print(verified, first < 0 ? NULL : err)) < 0)
        return first < 0 ? first : r;
    return call->count ? first : verify_damaged(&images, first, verified, err);
}

static const struct cli_option verify_table[] = {
    {.name = "json", CLI_MEMBER(CLI_FLAG, verify_options, json), .help = "as JSON"},
    {0},
};
const struct cli_command cli_command_image_verify = {
    .name = "image verify",
    .operands = "[IMAGE]",
    .summary = "hashes the stored images, or one, again",
    .details = "IMAGE is a file name or the first digits of a SHA-256, as image ls shows them.",
    .example = "piagent image verify",
    .options = verify_table,
    .values_size = sizeof(struct verify_options),
    .max_operands = 1,
    .operand = CLI_STORED_IMAGE,
    .site = CLI_THERE,
    .run = run_verify,
};
