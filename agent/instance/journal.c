/* SPDX-License-Identifier: MIT */
#include "agent/instance/journal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/api/operations.h"
#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/lines.h"
#include "agent/base/text.h"
#include "agent/instance/instance.h"
#include "agent/instance/log_stream.h"
#include "agent/loop/log.h"

#define JOURNAL_MAX ((size_t)512 << 10)
#define LINE_MAX_   ((size_t)16 << 10)
#define TAIL_MAX    ((size_t)64 << 10)

static int last_seq(char *line, size_t size, void *user)
{
    json_auto_t *event = pi_json_parse(line, size, NULL);
    json_int_t seq = json_integer_value(json_object_get(event, "seq"));
    if (seq > 0)
        *(uint64_t *)user = (uint64_t)seq;
    return 0;
}

/* The events of the agents before this one. */
struct recall {
    struct instance *instance;
    void (*fn)(struct instance *instance, const struct api_event *event);
};

static int recall_line(char *line, size_t size, void *user)
{
    const struct recall *recall = user;
    struct api_event event = {0};
    json_auto_t *doc = pi_json_parse(line, size, NULL);
    if (doc && api_read(event, doc, &event, NULL) == 0 && event.seq) {
        recall->instance->journal.next_seq = event.seq + 1;
        recall->fn(recall->instance, &event);
    }
    api_done(event, &event);
    return 0;
}

void journal_init(struct instance *instance)
{
    instance->journal = (struct journal){.log = LOGFILE_NONE, .tail.max = TAIL_MAX, .next_seq = 1};
}

void journal_done(struct instance *instance)
{
    pi_buf_done(&instance->journal.tail);
    logfile_close(&instance->journal.log);
    api_done(event, &instance->journal.image);
}

void journal_end(struct instance *instance)
{
    host_end(instance->host, &instance->journal.log);
}

int journal_open(struct instance *instance, struct pi_error *err)
{
    return logfile_open(instance->dir_fd, "journal.jsonl", JOURNAL_MAX, &instance->journal.log, err);
}

bool journal_is_cut(const struct instance *instance)
{
    return instance->journal.log.end > LINE_MAX_;
}

void journal_recall(struct instance *instance,
                    void (*fn)(struct instance *instance, const struct api_event *event))
{
    struct journal *journal = &instance->journal;
    struct recall recall = {.instance = instance, .fn = fn};
    struct pi_lines lines = {.partial.max = LINE_MAX_};
    uint64_t offset = journal_is_cut(instance) ? journal->log.end - LINE_MAX_ : 0;
    char chunk[4096];
    for (size_t n; (n = logfile_read(&journal->log, &offset, chunk, sizeof chunk));)
        pi_lines_feed(&lines, chunk, n, recall_line, &recall);
    /* If a crash cut the last line short, the next event must still begin on a line of its own. */
    if (lines.partial.size)
        logfile_append(&journal->log, "\n", 1);
    pi_lines_done(&lines);
    journal->told = journal->log.end;
    journal->told_seq = journal->next_seq - 1;
}

static void set_clocks(struct api_event *event)
{
    event->realtime_ms = pi_realtime_ms();
    event->monotonic_ms = pi_monotonic_ms();
}

bool journal_flush(struct instance *instance)
{
    struct pi_buf *tail = &instance->journal.tail;
    if (tail->size && logfile_append(&instance->journal.log, tail->data, tail->size) < 0)
        return false;
    pi_buf_consume(tail, tail->size);
    return true;
}

/* Followers read the tail as the log's continuation. When it is written its offsets stay the same, so they do
 * not notice. */
static void append_line(struct instance *instance, const char *line, size_t size)
{
    bool was_behind = instance->journal.tail.size > 0;
    if (pi_buf_add(&instance->journal.tail, line, size) < 0 || journal_flush(instance))
        return;
    store_save_later(instance);
    if (!was_behind)
        log_line("%s: its journal cannot be written: it is kept in memory, up to %zu KiB of it",
                 instance->record.spec.name, TAIL_MAX >> 10);
}

/* Reads the log as far as it may be told, and then the tail that could not be written yet. */
static size_t read_journal(struct instance *instance, uint64_t *offset, char *buf, size_t max)
{
    const struct journal *journal = &instance->journal;
    const struct pi_buf *tail = &journal->tail;
    if (*offset >= journal->told)
        return 0;
    if (max > journal->told - *offset)
        max = (size_t)(journal->told - *offset);
    size_t n = logfile_read(&journal->log, offset, buf, max);
    if (n || *offset - journal->log.end >= tail->size)
        return n;
    n = tail->size - (size_t)(*offset - journal->log.end);
    n = n < max ? n : max;
    memcpy(buf, tail->data + (*offset - journal->log.end), n);
    *offset += n;
    return n;
}

static int show_line(char *line, size_t size, void *user)
{
    const struct instance *instance = user;
    host_event(instance->host, line, size);
    return 0;
}

void journal_tell(struct instance *instance)
{
    struct pi_lines lines = {.partial.max = LINE_MAX_};
    uint64_t offset = instance->journal.told;
    char chunk[4096];
    instance->journal.told = instance->journal.log.end + instance->journal.tail.size;
    instance->journal.told_seq = instance->journal.next_seq - 1;
    if (offset == instance->journal.told)
        return;
    for (size_t n; (n = read_journal(instance, &offset, chunk, sizeof chunk));)
        pi_lines_feed(&lines, chunk, n, show_line, instance);
    pi_lines_done(&lines);
    host_wake(instance->host, &instance->journal.log);
}

void journal_stamp(struct instance *instance, struct api_event *event)
{
    set_clocks(event);
    event->seq = instance->journal.next_seq++;
}

void journal_append(struct instance *instance, struct api_event *event)
{
    event->name = instance->record.spec.name;
    json_auto_t *object = api_write(event, event);
    pi_auto_free char *line = object ? json_dumps(object, JSON_COMPACT) : NULL;
    size_t size = line ? strlen(line) : 0;
    if (line) {
        line[size] = '\n'; /* in place of the NUL: the size is given */
        append_line(instance, line, size + 1);
    }
    if (!store_is_saving(instance))
        journal_tell(instance);
}

void journal_add(struct instance *instance, struct api_event *event)
{
    journal_stamp(instance, event);
    journal_append(instance, event);
}

void journal_note(struct instance *instance, const char *format, ...)
{
    char text[512], clean[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    pi_text_clean(text, strlen(text), clean, sizeof clean);
    log_line("%s: %s", instance->record.spec.name, clean);
    journal_add(instance, &(struct api_event){.kind = API_EVENT_NOTE, .text = clean});
}

uint64_t journal_told_seq(const struct instance *instance)
{
    return instance->journal.told_seq;
}

void journal_progress(struct instance *instance, const struct api_event *image)
{
    char *text = image->text ? strdup(image->text) : NULL, *name = strdup(instance->record.spec.name);
    api_done(event, &instance->journal.image);
    instance->journal.image = *image;
    instance->journal.image.text = text;
    instance->journal.image.name = name;
    set_clocks(&instance->journal.image);
    instance->journal.image_version++;
    host_wake(instance->host, &instance->journal.log);
}

/* Its followers. */

static size_t read_progress(struct instance *instance, uint64_t *version, char *buf, size_t max)
{
    if (*version == instance->journal.image_version)
        return 0;
    *version = instance->journal.image_version;
    json_auto_t *object = api_write(event, &instance->journal.image);
    size_t n = object ? json_dumpb(object, buf, max, JSON_COMPACT) : 0;
    if (n == 0 || n >= max)
        return 0;
    buf[n] = '\n';
    return n + 1;
}

struct search {
    uint64_t since, offset, found;
};

static int seek_line(char *line, size_t size, void *user)
{
    struct search *search = user;
    uint64_t seq = UINT64_MAX;
    last_seq(line, size, &seq);
    search->offset += size + 1;
    if (seq > search->since)
        return -EEXIST;
    search->found = search->offset;
    return 0;
}

int journal_stream(struct instance *instance, uint64_t since, bool follow, struct api_stream *ret,
                   struct pi_error *err)
{
    static const struct log_source source = {
        .read = read_journal, .read_beside = read_progress, .content_type = API_TYPE_LINES};
    const struct logfile *log = &instance->journal.log;
    uint64_t offset = logfile_oldest(log);
    struct search search = {.since = since, .offset = offset, .found = offset};
    struct pi_lines lines = {.partial.max = LINE_MAX_};
    char chunk[4096];
    for (size_t n; since && (n = read_journal(instance, &offset, chunk, sizeof chunk));)
        if (pi_lines_feed(&lines, chunk, n, seek_line, &search) < 0)
            break;
    pi_lines_done(&lines);
    return log_stream_new(instance, &source, log, search.found, follow, ret, err);
}
