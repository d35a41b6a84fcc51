/* SPDX-License-Identifier: MIT */
/* "events" shows what happened to an instance, or to all, a line for each event. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/lines.h"
#include "agent/cli/client/connect.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/terminal/table.h"

struct events_options {
    bool follow, json;
    char *since;
};

static void print_time(uint64_t realtime_ms)
{
    time_t seconds = (time_t)(realtime_ms / 1000);
    struct tm local;
    char text[32] = "-";
    if (localtime_r(&seconds, &local))
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
    printf("%s.%03u", text, (unsigned)(realtime_ms % 1000));
}

/* Prints a word of the event, cleaned and after a space, if there is one. */
static void print_word(const char *word)
{
    char clean[1024];
    if (word)
        printf(" %s", pi_text_clean(word, strlen(word), clean, sizeof clean));
}

struct printing {
    struct pi_lines lines;
    bool json;
    bool names;       /* of all instances: each line begins with the name */
    uint64_t from_ms; /* since 1970: older events are left out */
};

/* The words as they came: a newer agent may have some that this version does not know. */
static void print_event(const struct printing *printing, const struct api_event *event, const json_t *doc)
{
    static const char *const keys[] = {"kind",   "state",    "stage", "module", "report",
                                       "result", "landmark", "phase", "text"};
    print_time(event->realtime_ms);
    if (printing->names)
        print_word(event->name ? event->name : "-");
    for (size_t i = 0; i < PI_ARRAY_SIZE(keys); i++)
        print_word(json_string_value(json_object_get(doc, keys[i])));
    putchar('\n');
}

/* An event that cannot be read comes from a newer agent: --json shows it to tools, which may know it. */
static int on_line(char *line, size_t size, void *user)
{
    const struct printing *printing = user;
    struct api_event event = {0};
    json_auto_t *doc = pi_json_parse(line, size, NULL);
    bool known = doc && api_read(event, doc, &event, NULL) == 0;
    bool old = known && event.realtime_ms < printing->from_ms;
    int r = printing->json && doc && !old ? cli_json_line(stdout, doc) : 0;
    if (!printing->json && known && !old)
        print_event(printing, &event, doc);
    api_done(event, &event);
    return r;
}

static int on_event_data(const char *bytes, size_t size, void *user)
{
    struct printing *printing = user;
    int r = pi_lines_feed(&printing->lines, bytes, size, on_line, printing);
    return r == 0 && fflush(stdout) != 0 ? -errno : r;
}

/* --since: the number of an event, or how long ago. */
static int read_since(const char *text, uint64_t *ret_seq, uint64_t *ret_from_ms, struct pi_error *err)
{
    char shown[64];
    uint64_t ago_ms, now_ms = pi_realtime_ms();
    if (!text || pi_number_parse(text, 0, INT64_MAX, ret_seq, NULL) == 0)
        return 0;
    if (pi_duration_parse(text, &ago_ms, NULL) < 0)
        return pi_refuse(
            err, PI_USAGE,
            "--since: '%s' is neither the number (seq) of an event nor how long ago: write 42, 10m "
            "or 2h",
            pi_text_clean(text, strlen(text), shown, sizeof shown));
    *ret_from_ms = ago_ms < now_ms ? now_ms - ago_ms : 0;
    return 0;
}

static int make_path(const char *name, uint64_t since, bool follow, char *ret, size_t size,
                     struct pi_error *err)
{
    if (!name && since)
        return pi_refuse(
            err, PI_USAGE,
            "--since with a number counts the events of one instance: name it, or write how long "
            "ago, as 10m");
    if (!name) {
        snprintf(ret, size, "/v1/events?follow=%d", follow);
        return 0;
    }
    snprintf(ret, size, "/v1/instances/%.*s/events?since=%" PRIu64 "&follow=%d", PI_NAME_MAX, name, since,
             follow);
    return pi_name_check(name, err);
}

static int run_events(const struct cli_call *call, struct pi_error *err)
{
    const struct events_options *options = call->values;
    const char *name = call->count ? call->operands[0] : NULL;
    char path[PI_NAME_MAX + 96];
    pi_auto_agent struct cli_agent agent = {0};
    struct printing printing = {
        .lines.partial.max = API_EVENT_LINE_MAX, .json = options->json, .names = !name};
    uint64_t since = 0;
    int r = read_since(options->since, &since, &printing.from_ms, err);
    if (r == 0)
        r = make_path(name, since, options->follow, path, sizeof path, err);
    if (r == 0)
        r = cli_connect(&agent, err);
    if (r == 0)
        r = cli_stream(&agent, path, on_event_data, &printing, err);
    pi_lines_done(&printing.lines);
    if (r == 0 && !name && options->follow)
        return pi_refuse(err, PI_AGENT, "the agent was stopped: the next command starts it again");
    return r;
}

static const struct cli_option events_table[] = {
    {.name = "follow",
     .letter = 'f',
     CLI_MEMBER(CLI_FLAG, events_options, follow),
     .help = "go on as more happens"},
    {.name = "since",
     CLI_MEMBER(CLI_STRING, events_options, since),
     .kind = CLI_TEXT,
     .argument = "SEQ|TIME",
     .help = "only those after the one with this seq, or not older than that: 42, 10m"},
    {.name = "json", CLI_MEMBER(CLI_FLAG, events_options, json), .help = "as the agent's JSON lines"},
    {0},
};

const struct cli_command cli_command_events = {
    .name = "events",
    .operands = "[NAME]",
    .summary = "shows what happened to an instance, or to all",
    .details =
        "With -f it ends with an interrupt, or when the instance is removed. Without a NAME it shows what happens to\n"
        "any instance from now on (-f), or the newest events that the agent has seen since its own start. The\n"
        "progress of an image's download is only shown with a NAME.",
    .example = "piagent events -f --json pi-1",
    .options = events_table,
    .values_size = sizeof(struct events_options),
    .max_operands = 1,
    .operand = CLI_MACHINE,
    .run = run_events,
};
