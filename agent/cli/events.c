/* SPDX-License-Identifier: MIT */
/* "events": what happened to a machine, or to all, a line each. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/base/lines.h"
#include "agent/cli/commands.h"
#include "agent/cli/connect.h"

#define EVENT_LINE_MAX ((size_t)256 << 10)

struct events_options {
    bool follow, json;
    uint64_t since;
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

/* A word of the event, cleaned and after a space; nothing where it has none. */
static void print_word(const char *word)
{
    char clean[1024];
    if (word)
        printf(" %s", pi_text_clean(word, strlen(word), clean, sizeof clean));
}

struct printing {
    struct pi_lines lines;
    bool names; /* of all machines: each line says of which */
};

/* What cannot be read is of a newer agent, and passed over. */
static int on_line(char *line, size_t size, void *user)
{
    const struct printing *printing = user;
    struct api_event event = {0};
    json_auto_t *doc = pi_json_parse(line, size, NULL);
    if (doc && api_read(event, doc, &event, NULL) == 0) {
        const char *const words[] = {event.state,  event.stage,    event.module, event.report,
                                     event.result, event.landmark, event.phase,  event.text};
        print_time(event.realtime_ms);
        if (printing->names)
            print_word(event.name ? event.name : "-");
        printf(" %s", api_event_kind_names[event.kind]);
        for (size_t i = 0; i < PI_ARRAY_SIZE(words); i++)
            print_word(words[i]);
        putchar('\n');
    }
    api_done(event, &event);
    return 0;
}

static int on_text(const char *bytes, size_t size, void *user)
{
    struct printing *printing = user;
    int r = pi_lines_feed(&printing->lines, bytes, size, on_line, printing);
    return r == 0 && fflush(stdout) != 0 ? -errno : r;
}

static int on_json(const char *bytes, size_t size, void *user)
{
    (void)user;
    return pi_write_all(STDOUT_FILENO, bytes, size);
}

static int make_path(const char *name, const struct events_options *options, char *ret, size_t size,
                     struct pi_error *err)
{
    if (!name && options->since)
        return pi_refuse(err, PI_USAGE, "--since counts the events of one machine: name it");
    if (!name) {
        snprintf(ret, size, "/v1/events?follow=%d", options->follow);
        return 0;
    }
    snprintf(ret, size, "/v1/instances/%.*s/events?since=%" PRIu64 "&follow=%d", PI_NAME_MAX, name,
             options->since, options->follow);
    return pi_name_check(name, err);
}

static int run_events(const struct cli_call *call, struct pi_error *err)
{
    const struct events_options *options = call->values;
    const char *name = call->count ? call->operands[0] : NULL;
    char path[PI_NAME_MAX + 96];
    pi_auto_agent struct cli_agent agent = {0};
    struct printing printing = {.lines.partial.max = EVENT_LINE_MAX, .names = !name};
    int r = make_path(name, options, path, sizeof path, err);
    if (r == 0)
        r = cli_connect(&agent, err);
    if (r == 0)
        r = cli_stream(&agent, path, options->json ? on_json : on_text, &printing, err);
    pi_lines_done(&printing.lines);
    if (r == 0 && !name && options->follow)
        return pi_refuse(err, PI_AGENT, "the agent was stopped: the next command starts it again");
    return r;
}

static const struct cli_option events_table[] = {
    {.name = "follow",
     .letter = 'f',
     .type = CLI_FLAG,
     .offset = offsetof(struct events_options, follow),
     .help = "go on as more happens"},
    {.name = "since",
     .type = CLI_NUMBER,
     .argument = "SEQ",
     .offset = offsetof(struct events_options, since),
     .max = INT64_MAX,
     .help = "only those after the one with this seq"},
    {.name = "json",
     .type = CLI_FLAG,
     .offset = offsetof(struct events_options, json),
     .help = "as the agent's JSON lines"},
    {0},
};

const struct cli_command cli_command_events = {
    .name = "events",
    .operands = "[NAME]",
    .summary = "shows what happened to a machine, or to all",
    .details =
        "With -f it ends with an interrupt, or when the machine is removed. Without a NAME it shows what happens to\n"
        "any machine from now on (-f), or the newest that the agent has seen since its own start; what an image's\n"
        "download comes to is shown with a NAME only.",
    .example = "piagent events -f --json pi-1",
    .options = events_table,
    .values_size = sizeof(struct events_options),
    .max_operands = 1,
    .operand = CLI_MACHINE,
    .run = run_events,
};
