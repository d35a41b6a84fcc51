/* SPDX-License-Identifier: MIT */
/* "image fetch" gets an image into the store, in this process. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/terminal/bar.h"
#include "agent/cli/terminal/screen.h"
#include "agent/cli/terminal/table.h"
#include "agent/image/fetch.h"
#include "agent/vm/spec.h"

struct fetch_options {
    char *arch, *sha256;
    bool unverified, allow_unsigned, json;
};

/* A signal handler has nothing else to write to. */
static volatile sig_atomic_t cancelled;

static void on_fetch_signal(int signal)
{
    cancelled = signal;
}

struct reporter {
    bool json;
    struct cli_screen screen;
    int told_phase; /* enum image_phase of the last line, -1 = none */
};

static void print_fetch_json(json_t *line)
{
    cli_json_line(stdout, line);
    json_decref(line);
}

static void report_fetch_progress(const struct image_progress *progress, void *user)
{
    struct reporter *reporter = user;
    pi_auto_buf struct pi_buf line = {0};
    bool changed = reporter->told_phase != (int)progress->phase;
    reporter->told_phase = (int)progress->phase;
    if (reporter->json) {
        print_fetch_json(pi_fields_write(image_progress_fields, progress));
        return;
    }
    if (progress->phase == IMAGE_DONE)
        return;
    if (changed && !reporter->screen.redraws && cli_image_step(progress, &line) == 0)
        cli_screen_line(&reporter->screen, "%s", line.data);
    line.size = 0;
    if (cli_render_image(progress, cli_screen_width(&reporter->screen), &line) == 0)
        cli_screen_status(&reporter->screen, line.data);
}

static void print_fetch_text(const struct image *image)
{
    char size[32], shown[256];
    if (image->note)
        fprintf(stderr, "%s\n", image->note);
    printf("%s  %s, %s%s\n%s\n", pi_text_clean(image->name, strlen(image->name), shown, sizeof shown),
           image->arch, pi_size_format(image->size_bytes, size),
           !image->verified ? ", NOT verified"
           : image->signer  ? ", verified and signed"
           : image->release ? ", verified, NOT signed"
                            : ", verified",
           image->path);
}

static int run_fetch(const struct cli_call *call, struct pi_error *err)
{
    const struct fetch_options *options = call->values;
    const struct sigaction action = {.sa_handler = on_fetch_signal};
    struct reporter reporter = {.json = options->json, .told_phase = -1};
    pi_auto_image struct image image = {0};
    struct utsname host;
    uname(&host);
    struct image_request request = {
        .ref = call->operands[0],
        .arch = options->arch ? options->arch : host.machine,
        .sha256 = options->sha256,
        .unverified = options->unverified,
        .allow_unsigned = options->allow_unsigned,
        .cancel = &cancelled,
    };
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    cli_screen_init(&reporter.screen);
    int r = image_fetch_for_user(&request, report_fetch_progress, &reporter, &image, err);
    cli_screen_clear(&reporter.screen);
    if (r == -ECANCELED)
        return pi_refuse(
            err, PI_FAILED,
            "interrupted: the same command goes on at the same place, if the server allows that");
    if (r == 0 && options->json)
        print_fetch_json(json_pack("{s:o}", "image", pi_fields_write(image_fields, &image)));
    else if (r == 0)
        print_fetch_text(&image);
    return r;
}

#define FETCH(member, name_, type_, ...)                                       \
    {                                                                          \
        .name = (name_), CLI_MEMBER(type_, fetch_options, member), __VA_ARGS__ \
    }

static const struct cli_option fetch_table[] = {
    FETCH(arch, "arch", CLI_STRING, .kind = CLI_WORD, .words = vm_arch_names, .argument = "ARCH",
          .help = "x86_64 or aarch64 (default: this host's)"),
    FETCH(sha256, "sha256", CLI_STRING, .kind = CLI_TEXT, .argument = "HEX",
          .help = "its SHA-256, for a URL or file without a published one"),
    FETCH(unverified, "unverified", CLI_FLAG, .help = "take it even if nothing proves what it is"),
    FETCH(allow_unsigned, "allow-unsigned", CLI_FLAG,
          .help = "take a Fedora image whose signature is missing or bad"),
    FETCH(json, "json", CLI_FLAG, .help = "progress and result as JSON lines"),
    {0},
};

const struct cli_command cli_command_image_fetch = {
    .name = "image fetch",
    .operands = "IMAGE",
    .summary = "gets an image and checks it",
    .details =
        "IMAGE is fedora, fedora:44, an https URL or a file. An image that is in the store already is not fetched again; for "
        "a URL without a SHA-256, piagent asks the server whether it still serves the same.",
    .example = "piagent image fetch fedora:44 --arch aarch64",
    .options = fetch_table,
    .values_size = sizeof(struct fetch_options),
    .min_operands = 1,
    .max_operands = 1,
    .operand = CLI_IMAGE,
    .site = CLI_THERE,
    .run = run_fetch,
};
