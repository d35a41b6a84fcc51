/* SPDX-License-Identifier: MIT */
/* An instance's events: kept in its folder as JSON lines, followed by any number of readers; and its
 * console's readers. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "agent/api/operations.h"
#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/lines.h"
#include "agent/instance/instance.h"
#include "agent/loop/log.h"

#define JOURNAL_MAX ((size_t)512 << 10)
#define CONSOLE_MAX ((size_t)1 << 20)
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

/* What an agent before this one saw: how far the boot had come. */
static int recall(char *line, size_t size, void *user)
{
    struct instance *instance = user;
    struct api_event event = {0};
    json_auto_t *doc = pi_json_parse(line, size, NULL);
    if (doc && api_read(event, doc, &event, NULL) == 0 && event.seq) {
        instance->next_seq = event.seq + 1;
        boots_note(instance, &event);
        if (event.kind == API_EVENT_BOOT)
            instance->landmarks.reached = VM_LANDMARK_NONE;
        instance->stuck = event.kind == API_EVENT_STUCK ||
                          (instance->stuck && !api_event_takes_back(&event, API_EVENT_STUCK));
        for (int i = 0; event.landmark && vm_landmark_names[i]; i++)
            if (!strcmp(event.landmark, vm_landmark_names[i]))
                instance->landmarks.reached = (enum vm_landmark)i;
    }
    api_done(event, &event);
    return 0;
}

int journal_open(struct instance *instance, struct pi_error *err)
{
    instance->next_seq = 1;
    instance->journal_tail.max = TAIL_MAX;
    int r = logfile_open(instance->dir_fd, "journal.jsonl", JOURNAL_MAX, &instance->journal, err);
    int console = logfile_open(instance->dir_fd, "console.log", CONSOLE_MAX, &instance->console_log,
                               r < 0 ? NULL : err);
    if (r < 0)
        return r;
    struct pi_lines lines = {.partial.max = LINE_MAX_};
    uint64_t offset = instance->journal.end > LINE_MAX_ ? instance->journal.end - LINE_MAX_ : 0;
    char chunk[4096];
    /* Where that boot began before the part that is read, its landmarks are told already. */
    instance->landmarks.reached = offset ? VM_LANDMARK_LOGIN : VM_LANDMARK_NONE;
    for (size_t n; (n = logfile_read(&instance->journal, &offset, chunk, sizeof chunk));)
        pi_lines_feed(&lines, chunk, n, recall, instance);
    /* A line that a crash cut short must not swallow the next one. */
    if (lines.partial.size)
        logfile_append(&instance->journal, "\n", 1);
    pi_lines_done(&lines);
    instance->journal_told = instance->journal.end;
    instance->told_seq = instance->next_seq - 1;
    return console;
}

static void complete(struct api_event *event)
{
    event->realtime_ms = pi_realtime_ms();
    event->monotonic_ms = pi_monotonic_ms();
}

bool journal_flush(struct instance *instance)
{
    struct pi_buf *tail = &instance->journal_tail;
    if (tail->size && logfile_append(&instance->journal, tail->data, tail->size) < 0)
        return false;
    pi_buf_consume(tail, tail->size);
    return true;
}

/* Followers read the tail behind the log, and do not notice when it is written: its offsets stay. */
static void append(struct instance *instance, const char *line, size_t size)
{
    bool was_behind = instance->journal_tail.size > 0;
    if (pi_buf_add(&instance->journal_tail, line, size) < 0 || journal_flush(instance))
        return;
    instance_save_later(instance);
    if (!was_behind)
        log_line("%s: its journal cannot be written: it is kept in memory, up to %zu KiB of it",
                 instance->record.spec.name, TAIL_MAX >> 10);
}

/* The log; of the journal as far as it may be told, and behind it what could not be written to it yet. */
static size_t read_log(const struct instance *instance, const struct logfile *log, uint64_t *offset,
                       char *buf, size_t max)
{
    const struct pi_buf *tail = &instance->journal_tail;
    if (log != &instance->journal)
        return logfile_read(log, offset, buf, max);
    if (*offset >= instance->journal_told)
        return 0;
    if (max > instance->journal_told - *offset)
        max = (size_t)(instance->journal_told - *offset);
    size_t n = logfile_read(log, offset, buf, max);
    if (n || *offset - log->end >= tail->size)
        return n;
    n = tail->size - (size_t)(*offset - log->end);
    n = n < max ? n : max;
    memcpy(buf, tail->data + (*offset - log->end), n);
    *offset += n;
    return n;
}

static int feed_line(char *line, size_t size, void *user)
{
    const struct instance *instance = user;
    host_event(instance->host, line, size);
    return 0;
}

void journal_tell(struct instance *instance)
{
    struct pi_lines lines = {.partial.max = LINE_MAX_};
    uint64_t offset = instance->journal_told;
    char chunk[4096];
    instance->journal_told = instance->journal.end + instance->journal_tail.size;
    instance->told_seq = instance->next_seq - 1;
    if (offset == instance->journal_told)
        return;
    for (size_t n; (n = read_log(instance, &instance->journal, &offset, chunk, sizeof chunk));)
        pi_lines_feed(&lines, chunk, n, feed_line, instance);
    pi_lines_done(&lines);
    host_wake(instance->host, &instance->journal);
}

void journal_add(struct instance *instance, struct api_event *event)
{
    complete(event);
    event->seq = instance->next_seq++;
    event->left_ms = boots_left_ms(instance, event);
    event->name = instance->record.spec.name;
    json_auto_t *object = api_write(event, event);
    pi_auto_free char *line = object ? json_dumps(object, JSON_COMPACT) : NULL;
    size_t size = line ? strlen(line) : 0;
    if (line) {
        line[size] = '\n'; /* in place of the NUL: the size says where it ends */
        append(instance, line, size + 1);
    }
    if (!instance_is_saving(instance))
        journal_tell(instance);
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

void journal_progress(struct instance *instance, const struct api_event *image)
{
    char *text = image->text ? strdup(image->text) : NULL,
         *phase = image->phase ? strdup(image->phase) : NULL, *name = strdup(instance->record.spec.name);
    api_done(event, &instance->image);
    instance->image = *image;
    instance->image.text = text;
    instance->image.phase = phase;
    instance->image.name = name;
    complete(&instance->image);
    instance->image_version++;
    host_wake(instance->host, &instance->journal);
}

/* One follower. Both logs are read alike; only the journal's has progress, which is not in the file. */
struct reader {
    struct instance *instance;
    const struct logfile *log;
    uint64_t offset;
    uint64_t image_version;
    bool follow;
};

static size_t read_progress(struct reader *reader, char *buf, size_t max)
{
    struct instance *instance = reader->instance;
    if (reader->log != &instance->journal || reader->image_version == instance->image_version)
        return 0;
    reader->image_version = instance->image_version;
    json_auto_t *object = api_write(event, &instance->image);
    size_t n = object ? json_dumpb(object, buf, max, JSON_COMPACT) : 0;
    if (n == 0 || n >= max)
        return 0;
    buf[n] = '\n';
    return n + 1;
}

static long reader_read(void *source, char *buf, size_t max)
{
    struct reader *reader = source;
    size_t n = read_log(reader->instance, reader->log, &reader->offset, buf, max);
    /* The log is at its end, so at the end of a line: only there may a line of progress stand. */
    if (n == 0 && reader->follow)
        n = read_progress(reader, buf, max);
    return n == 0 && !reader->follow ? -1 : (long)n;
}

static void reader_close(void *source)
{
    struct reader *reader = source;
    instance_unref(reader->instance);
    free(reader);
}

static int stream_new(struct instance *instance, const struct logfile *log, uint64_t offset, bool follow,
                      const char *content_type, struct api_stream *ret, struct pi_error *err)
{
    struct reader *reader = malloc(sizeof *reader);
    if (!reader)
        return pi_fail(err, ENOMEM, "stream");
    *reader = (struct reader){.instance = instance, .log = log, .offset = offset, .follow = follow};
    instance_ref(instance);
    *ret = (struct api_stream){.read = reader_read,
                               .close = reader_close,
                               .source = reader,
                               .topic = log,
                               .content_type = content_type};
    return 0;
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
    const struct logfile *log = &instance->journal;
    uint64_t offset = logfile_oldest(log);
    struct search search = {.since = since, .offset = offset, .found = offset};
    struct pi_lines lines = {.partial.max = LINE_MAX_};
    char chunk[4096];
    for (size_t n; since && (n = read_log(instance, log, &offset, chunk, sizeof chunk));)
        if (pi_lines_feed(&lines, chunk, n, seek_line, &search) < 0)
            break;
    pi_lines_done(&lines);
    return stream_new(instance, log, search.found, follow, API_TYPE_LINES, ret, err);
}

/* Where the first whole line begins, from offset on; offset itself if none does nearby. */
static uint64_t line_start(const struct instance *instance, const struct logfile *log, uint64_t offset)
{
    char chunk[4096];
    uint64_t before = offset - 1;
    size_t n = read_log(instance, log, &before, chunk, sizeof chunk);
    const char *newline = memchr(chunk, '\n', n);
    uint64_t start = newline ? offset + (uint64_t)(newline - chunk) : offset;
    return start < log->end ? start : offset;
}

/* Where the last lines begin, in what is kept from offset on. The end of the last one may be still to come.
 */
static uint64_t last_lines_start(const struct logfile *log, uint64_t offset, uint64_t lines)
{
    char chunk[4096];
    uint64_t end = log->end, found = 0;
    while (end > offset) {
        uint64_t begin = end - offset > sizeof chunk ? end - sizeof chunk : offset, at = begin;
        size_t n = 0, more; /* less at once where one file ends and the next begins */
        while ((more = logfile_read(log, &at, chunk + n, (size_t)(end - begin) - n)))
            n += more;
        for (size_t i = n; i > 0; i--)
            if (chunk[i - 1] == '\n' && begin + i < log->end && ++found == lines)
                return begin + i;
        end = begin;
    }
    return offset;
}

int console_stream(struct instance *instance, const struct console_part *part, struct api_stream *ret,
                   struct pi_error *err)
{
    const struct logfile *log = &instance->console_log;
    uint64_t oldest = logfile_oldest(log);
    uint64_t offset = part->tail < log->end - oldest ? log->end - part->tail : oldest;
    if (part->lines && offset > oldest)
        offset = line_start(instance, log, offset);
    if (part->last_lines != UINT64_MAX)
        offset = part->last_lines ? last_lines_start(log, offset, part->last_lines) : log->end;
    return stream_new(instance, log, offset, part->follow, API_TYPE_BYTES, ret, err);
}
