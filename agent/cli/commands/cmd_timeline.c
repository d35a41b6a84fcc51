/* SPDX-License-Identifier: MIT */
/* "timeline" shows what ran when in a boot, from the instance's events. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/fs.h"
#include "agent/base/lines.h"
#include "agent/base/random.h"
#include "agent/boot/boot_list.h"
#include "agent/cli/client/connect.h"
#include "agent/cli/client/instance_view.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/terminal/colour.h"
#include "agent/cli/terminal/screen.h"
#include "agent/cli/terminal/table.h"

#define JOURNAL_MAX  ((size_t)16 << 20) /* an agent keeps much less */
#define WIDTH_MIN    80
#define WIDTH_MAX    300
#define WIDTH_FILE   100 /* if there is no terminal */
#define NONCE_LENGTH 32

struct timeline_options {
    struct pi_strv boots;
    char *html, *sort;
    bool all, json;
};

/* The boots to show, each with the list that it comes from. */
struct timeline {
    struct cli_agent agent;
    struct boot_list lists[BOOT_COMPARE_MAX];
    struct boot_shown shown[BOOT_COMPARE_MAX];
    char names[BOOT_COMPARE_MAX][PI_NAME_MAX + 32];
    size_t count;
};

static void timeline_done(struct timeline *timeline)
{
    for (size_t i = 0; i < timeline->count; i++)
        boot_list_done(&timeline->lists[i]);
    cli_agent_done(&timeline->agent);
}

struct reading {
    struct boot_list *list;
    struct pi_lines lines;
    size_t size;
    bool over;
    int result;
    struct pi_error error;
};

static int on_timeline_event(char *line, size_t size, void *user)
{
    struct reading *reading = user;
    struct api_event event = {0};
    json_auto_t *doc = pi_json_parse(line, size, NULL);
    /* An event that cannot be read comes from a newer agent, and is passed over. */
    int r = doc && api_read(event, doc, &event, NULL) == 0 ? boot_list_add(reading->list, &event) : 0;
    api_done(event, &event);
    return r;
}

static int on_timeline_data(const char *bytes, size_t size, void *user)
{
    struct reading *reading = user;
    reading->size += size;
    return reading->size > JOURNAL_MAX
               ? -EFBIG
               : pi_lines_feed(&reading->lines, bytes, size, on_timeline_event, reading);
}

static void on_timeline_done(int result, const struct pi_error *err, void *user)
{
    struct reading *reading = user;
    reading->over = true;
    reading->result = result;
    reading->error = *err;
}

static int read_events(struct cli_agent *agent, const char *name, struct boot_list *list,
                       struct pi_error *err)
{
    char path[PI_NAME_MAX + 64];
    struct reading reading = {.list = list, .lines = {.partial.max = API_EVENT_LINE_MAX}};
    const struct api_sink sink = {.data = on_timeline_data, .done = on_timeline_done, .user = &reading};
    snprintf(path, sizeof path, "/v1/instances/%.*s/events", PI_NAME_MAX, name);
    int r = api_client_start(agent->client, "GET", path, NULL, 0, &sink, NULL, err);
    while (r == 0 && !reading.over)
        r = api_client_wait(agent->client, NULL, 0, -1, err);
    pi_lines_done(&reading.lines);
    if (r == 0 && reading.result < 0) {
        *err = reading.error;
        r = reading.error.kind ? reading.result
                               : pi_fail(err, -reading.result, "cannot read the events of %s", name);
    }
    return r;
}

/* Reads all boots of that instance. */
static int read_boots(struct timeline *timeline, const char *name, struct boot_list *list,
                      struct pi_error *err)
{
    pi_auto_instance struct api_instance instance = {0};
    int r = cli_get_instance(&timeline->agent, name, &instance, err);
    if (r == 0)
        r = read_events(&timeline->agent, name, list, err);
    if (r == 0 && boot_list_end(list, cli_state_is_over(instance.state) ? 0 : pi_monotonic_ms()) < 0)
        r = pi_fail(err, ENOMEM, "timeline");
    return r;
}

static int parse_number(const char *text, int64_t *ret, struct pi_error *err)
{
    uint64_t number;
    bool minus = text[0] == '-';
    if (pi_number_parse(text + minus, 0, INT32_MAX, &number, NULL) < 0)
        return pi_refuse(err, PI_USAGE,
                         "'%.32s' names no boot: 0 is the newest, -1 the one before it, 1 the first", text);
    *ret = minus ? -(int64_t)number : (int64_t)number;
    return 0;
}

static int refuse_boot(const char *name, const struct boot_list *list, int64_t number, struct pi_error *err)
{
    if (list->count == 0)
        return pi_refuse(err, PI_NOT_FOUND, "%s has never booted: piagent start %s", name, name);
    return pi_refuse(err, PI_NOT_FOUND, "%s has no boot %" PRId64 ": its journal holds boots %u to %u", name,
                     number, list->items[0].number, list->items[list->count - 1].number);
}

/* NAME and a boot's number, or NULL for the newest. */
static int add_boot(struct timeline *timeline, const char *name, const char *number, struct pi_error *err)
{
    int64_t wanted = 0;
    int r = number ? parse_number(number, &wanted, err) : 0;
    if (r == 0 && timeline->count == BOOT_COMPARE_MAX)
        r = pi_refuse(err, PI_USAGE, "timeline shows at most %d boots", BOOT_COMPARE_MAX);
    if (r < 0)
        return r;
    size_t i = timeline->count++;
    if ((r = read_boots(timeline, name, &timeline->lists[i], err)) < 0)
        return r;
    const struct boot *boot = boot_list_find(&timeline->lists[i], wanted);
    if (!boot)
        return refuse_boot(name, &timeline->lists[i], wanted, err);
    snprintf(timeline->names[i], sizeof timeline->names[i], "%s%s%s", name, number ? "@" : "",
             number ? number : "");
    timeline->shown[i] = (struct boot_shown){.boot = boot, .name = timeline->names[i]};
    return 0;
}

/* NAME, NAME@N, or NAME with each of --boot. */
static int add_operand(struct timeline *timeline, char *operand, const struct pi_strv *boots,
                       struct pi_error *err)
{
    char *at = strchr(operand, '@');
    int r = 0;
    if (at && boots->count)
        return pi_refuse(err, PI_USAGE, "%s names its boot already: without --boot, or without @", operand);
    if (at)
        *at++ = '\0';
    if (!boots->count)
        return add_boot(timeline, operand, at, err);
    for (size_t i = 0; r == 0 && i < boots->count; i++)
        r = add_boot(timeline, operand, boots->items[i], err);
    return r;
}

static unsigned width(void)
{
    struct winsize size;
    const char *columns = getenv("COLUMNS");
    uint64_t wanted = WIDTH_FILE;
    if (!columns || pi_number_parse(columns, 1, INT32_MAX, &wanted, NULL) < 0)
        wanted = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : WIDTH_FILE;
    return (unsigned)(wanted < WIDTH_MIN ? WIDTH_MIN : wanted > WIDTH_MAX ? WIDTH_MAX : wanted);
}

static int print_timeline_text(const struct timeline *timeline, const struct timeline_options *options,
                               struct pi_error *err)
{
    const struct boot_style style = {.width = width(),
                                     .utf8 = cli_is_utf8(),
                                     .colours = cli_colours(STDOUT_FILENO),
                                     .all = options->all,
                                     .by_difference = options->sort && !strcmp(options->sort, "difference")};
    pi_auto_buf struct pi_buf text = {0};
    int r = 0;
    if (timeline->count == 2)
        r = boot_text_compare(timeline->shown, &style, &text);
    for (size_t i = 0; r == 0 && timeline->count != 2 && i < timeline->count; i++) {
        r = i ? pi_buf_puts(&text, "\n") : 0;
        if (r == 0)
            r = boot_text(&timeline->shown[i], &style, &text);
    }
    if (r < 0)
        return pi_fail(err, -r, "timeline");
    fputs(text.data, stdout);
    return 0;
}

/* A rename would put a file in the place of a device or a pipe. */
static int write_file(const char *path, const struct pi_buf *page, struct pi_error *err)
{
    struct stat st;
    mode_t mask = umask(0);
    umask(mask);
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return pi_refuse(err, PI_USAGE, "%s is no regular file: --html - writes to standard output", path);
    return pi_file_write(AT_FDCWD, path, page->data, page->size, 0666 & ~mask, err);
}

static int write_page(const struct timeline *timeline, const char *path, struct pi_error *err)
{
    char nonce[NONCE_LENGTH + 1];
    pi_auto_buf struct pi_buf page = {0};
    int r = pi_random_hex(NONCE_LENGTH, nonce);
    if (r == 0)
        r = boot_page(timeline->shown, timeline->count, nonce, &page);
    if (r < 0)
        return pi_fail(err, -r, "timeline");
    if (strcmp(path, "-") != 0)
        return write_file(path, &page, err);
    fwrite(page.data, 1, page.size, stdout);
    return 0;
}

static int print_timeline_json(const struct timeline *timeline, struct pi_error *err)
{
    json_auto_t *value = boot_json(timeline->shown, timeline->count);
    return value ? cli_json_print(value, err) : pi_fail(err, ENOMEM, "timeline");
}

static int check_timeline_options(const struct timeline_options *options, struct pi_error *err)
{
    if (options->html && options->json)
        return pi_refuse(err, PI_USAGE, "--html and --json exclude each other");
    return 0;
}

static int run_timeline(const struct cli_call *call, struct pi_error *err)
{
    const struct timeline_options *options = call->values;
    pi_auto(timeline_done) struct timeline timeline = {0};
    int r = check_timeline_options(options, err);
    if (r == 0)
        r = cli_connect(&timeline.agent, err);
    for (unsigned i = 0; r == 0 && i < call->count; i++)
        r = add_operand(&timeline, call->operands[i], &options->boots, err);
    if (r == 0 && options->sort && timeline.count != 2)
        r = pi_refuse(err, PI_USAGE, "--sort is for two boots: piagent timeline %s@-1 %s", call->operands[0],
                      call->operands[0]);
    if (r < 0)
        return r;
    if (options->html)
        return write_page(&timeline, options->html, err);
    return options->json ? print_timeline_json(&timeline, err) : print_timeline_text(&timeline, options, err);
}

static const char *const orders[] = {"time", "difference", NULL};

static const struct cli_option timeline_table[] = {
    {.name = "boot",
     CLI_MEMBER(CLI_LIST, timeline_options, boots),
     .argument = "N",
     .kind = CLI_TEXT,
     .help = "that boot: 0 the newest, -1 the one before it, 1 the first"},
    {.name = "all",
     .letter = 'a',
     CLI_MEMBER(CLI_FLAG, timeline_options, all),
     .help = "also steps shorter than 0.1s"},
    {.name = "sort",
     CLI_MEMBER(CLI_STRING, timeline_options, sort),
     .argument = "ORDER",
     .kind = CLI_WORD,
     .words = orders,
     .help = "two boots by time (as is) or by difference"},
    {.name = "html",
     CLI_MEMBER(CLI_STRING, timeline_options, html),
     .argument = "FILE",
     .kind = CLI_FILE,
     .help = "write one page with a chart; - is standard output"},
    {.name = "json", CLI_MEMBER(CLI_FLAG, timeline_options, json), .help = "the same as JSON, for tools"},
    {0},
};

const struct cli_command cli_command_timeline = {
    .name = "timeline",
    .operands = "NAME[@N]...",
    .summary = "shows what ran when in a boot, or compares boots",
    .details =
        "NAME is the instance's newest boot, so far as it has come, NAME@-1 the one before it, NAME@1 the first that its\n"
        "journal holds. Two boots are compared step by step. Marks: ! warning, ✗ failed, ▸ running, ? no end was seen.",
    .example = "piagent timeline pi-1@-1 pi-1",
    .options = timeline_table,
    .values_size = sizeof(struct timeline_options),
    .min_operands = 1,
    .max_operands = BOOT_COMPARE_MAX,
    .operand = CLI_MACHINE,
    .run = run_timeline,
};
