/* "events": what happened to a machine, a line each. */
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

/* What cannot be read is of a newer agent, and passed over. */
static int on_line(char *line, size_t size, void *user)
{
    struct api_event event = {0};
    json_auto_t *doc = pi_json_parse(line, size, NULL);
    (void)user;
    if (doc && api_read(event, doc, &event, NULL) == 0) {
        const char *const words[] = {event.state,  event.stage,    event.module, event.report,
                                     event.result, event.landmark, event.phase,  event.text};
        print_time(event.realtime_ms);
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
    int r = pi_lines_feed(user, bytes, size, on_line, NULL);
    return r == 0 && fflush(stdout) != 0 ? -errno : r;
}

static int on_json(const char *bytes, size_t size, void *user)
{
    (void)user;
    return pi_write_all(STDOUT_FILENO, bytes, size);
}

static int run_events(const struct cli_call *call, struct pi_error *err)
{
    const struct events_options *options = call->values;
    char path[PI_NAME_MAX + 96];
    pi_auto_agent struct cli_agent agent = {0};
    struct pi_lines lines = {.partial.max = EVENT_LINE_MAX};
    int r = pi_name_check(call->operands[0], err);
    if (r == 0)
        r = cli_connect(&agent, err);
    snprintf(path, sizeof path, "/v1/instances/%.*s/events?since=%" PRIu64 "&follow=%d", PI_NAME_MAX,
             call->operands[0], options->since, options->follow);
    if (r == 0)
        r = cli_stream(&agent, path, options->json ? on_json : on_text, &lines, err);
    pi_lines_done(&lines);
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
    .operands = "NAME",
    .summary = "shows what happened to a machine",
    .details = "With -f it ends with an interrupt, or when the machine is removed.",
    .example = "piagent events -f --json pi-1",
    .options = events_table,
    .values_size = sizeof(struct events_options),
    .min_operands = 1,
    .max_operands = 1,
    .operand = CLI_MACHINE,
    .run = run_events,
};
