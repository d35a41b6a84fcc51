/* SPDX-License-Identifier: MIT */
#include "agent/cli/client/last_words.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/cli/terminal/strip.h"

#define TAIL_BYTES   65536
#define LAST_LINES   10
#define MODULE_LINES 5

struct tail {
    struct pi_buf bytes;
    bool over;
};

static int on_last_words(const char *bytes, size_t size, void *user)
{
    return pi_buf_add(&((struct tail *)user)->bytes, bytes, size);
}

static void on_last_words_done(int result, const struct pi_error *err, void *user)
{
    (void)result;
    (void)err;
    ((struct tail *)user)->over = true;
}

/* Gets the console's last lines, without control characters. There are none if they cannot be had. */
static void fetch(struct cli_follow *follow, struct pi_strv *ret)
{
    char path[PI_NAME_MAX + 64], clean[512];
    struct tail tail = {.bytes.max = 2 * TAIL_BYTES};
    struct cli_strip strip = {0};
    struct api_transfer *transfer = NULL;
    const struct api_sink sink = {.data = on_last_words, .done = on_last_words_done, .user = &tail};
    snprintf(path, sizeof path, "/v1/instances/%s/console?tail=%d", follow->view.name, TAIL_BYTES);
    int r = api_client_start(follow->agent->client, "GET", path, NULL, 0, &sink, &transfer, NULL);
    uint64_t end = pi_monotonic_ms() + 5000;
    while (r == 0 && !tail.over && pi_monotonic_ms() < end)
        r = api_client_wait(follow->agent->client, NULL, 0, 1000, NULL);
    if (transfer && !tail.over)
        api_transfer_cancel(transfer);
    size_t size = tail.bytes.size ? cli_strip(&strip, tail.bytes.data, tail.bytes.size) : 0;
    for (size_t at = 0, length; at < size; at += length + 1) {
        const char *newline = memchr(tail.bytes.data + at, '\n', size - at);
        length = newline ? (size_t)(newline - tail.bytes.data) - at : size - at;
        pi_text_clean(tail.bytes.data + at, length, clean, sizeof clean);
        if (clean[0] && strcmp(clean, " ") != 0)
            pi_strv_add(ret, clean);
    }
    pi_buf_done(&tail.bytes);
}

/* cloud-init names its modules with '-' or '_': "modules-final/config-scripts-user" is "scripts-user" and
 * "cc_scripts_user.py" on the console. */
static void tell_module(struct cli_screen *screen, const char *name, const struct pi_strv *lines)
{
    const char *slash = strrchr(name, '/');
    char module[96], file[96];
    name = slash ? slash + 1 : name;
    name += pi_starts_with(name, "config-") ? strlen("config-") : 0;
    pi_text_clean(name, strlen(name), module, sizeof module);
    memcpy(file, module, sizeof file);
    for (char *c = file; *c; c++)
        *c = *c == '-' ? '_' : *c;
    unsigned found = 0;
    for (size_t i = lines->count; module[0] && i-- > 0 && found < MODULE_LINES;)
        found += strstr(lines->items[i], "cloud-init") &&
                 (strstr(lines->items[i], module) || strstr(lines->items[i], file));
    if (!found)
        return;
    cli_screen_line(screen, "  the console about %s:", module);
    for (size_t i = 0, seen = 0; i < lines->count && seen < found; i++)
        if (strstr(lines->items[i], "cloud-init") &&
            (strstr(lines->items[i], module) || strstr(lines->items[i], file))) {
            cli_screen_line(screen, "    %s", lines->items[i]);
            seen++;
        }
}

void cli_tell_last_line(struct cli_follow *follow)
{
    struct cli_screen *screen = &follow->leader->screen;
    pi_auto_strv struct pi_strv lines = {0};
    if (screen->silent)
        return;
    fetch(follow, &lines);
    if (lines.count)
        cli_screen_line(screen, "  its console ends with: %s", lines.items[lines.count - 1]);
    else
        cli_screen_line(screen, "  its console has said nothing");
}

void cli_tell_last_words(struct cli_follow *follow, const struct pi_strv *modules)
{
    struct cli_screen *screen = &follow->leader->screen;
    pi_auto_strv struct pi_strv lines = {0};
    if (screen->silent)
        return;
    fetch(follow, &lines);
    for (size_t i = 0; modules && i < modules->count; i++)
        tell_module(screen, modules->items[i], &lines);
    if (!lines.count) {
        cli_screen_line(screen, "  its console has said nothing");
        return;
    }
    cli_screen_line(screen, "  the end of its console:");
    for (size_t i = lines.count > LAST_LINES ? lines.count - LAST_LINES : 0; i < lines.count; i++)
        cli_screen_line(screen, "    %s", lines.items[i]);
}
