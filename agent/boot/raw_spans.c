/* SPDX-License-Identifier: MIT */
/* From marks, documents and reports to spans. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"
#include "agent/boot/raw.h"

/* If a report is later than this, the guest's clock was set. */
#define CLOCK_STEP_MS 2000

static int add_span(struct boot *boot, const struct boot_span *span)
{
    if (boot->count == BOOT_SPANS_MAX) {
        boot->dropped++;
        return 0;
    }
    struct boot_span *spans = boot_grow(boot->spans, boot->count, sizeof *spans);
    if (!spans)
        return -ENOMEM;
    boot->spans = spans;
    spans[boot->count] = *span;
    if (span->start_ms != BOOT_NEVER && span->end_ms < span->start_ms)
        spans[boot->count].end_ms = span->start_ms;
    boot->count++;
    return 0;
}

static int add_named_span(struct boot *boot, enum boot_kind kind, const char *name, uint64_t start,
                          uint64_t end, enum boot_result result, const char *text)
{
    struct boot_span span = {.kind = kind, .result = result, .start_ms = start, .end_ms = end};
    snprintf(span.name, sizeof span.name, "%s", name);
    snprintf(span.text, sizeof span.text, "%s", text);
    return add_span(boot, &span);
}

static int64_t clock_offset(const struct boot_report *report)
{
    return (int64_t)report->seen_ms - (int64_t)report->guest_ms;
}

/* The guest's clock runs beside the host's until it is set. Between two such moments, the report with the least delay
 * tells best how far apart the clocks are. */
static void map_clock(struct boot_report *reports, size_t count)
{
    for (size_t first = 0, end; first < count; first = end) {
        int64_t least = clock_offset(&reports[first]);
        for (end = first + 1; end < count; end++) {
            int64_t this = clock_offset(&reports[end]);
            if (this - least > CLOCK_STEP_MS || least - this > CLOCK_STEP_MS)
                break;
            least = this < least ? this : least;
        }
        for (size_t i = first; i < end; i++) {
            int64_t at = (int64_t)reports[i].guest_ms + least;
            reports[i].at_ms = at > 0 ? (uint64_t)at : 0;
        }
    }
}

static int by_guest_time(const void *a, const void *b)
{
    const struct boot_report *x = a, *y = b;
    if (x->at_ms != y->at_ms)
        return x->at_ms < y->at_ms ? -1 : 1;
    /* In the same millisecond a beginning comes before an end. */
    if (x->finish != y->finish)
        return x->finish ? 1 : -1;
    return x->order < y->order ? -1 : 1;
}

/* The span of that name that has no end yet, or NULL. */
static struct boot_span *find_open(const struct boot *boot, const char *name)
{
    for (size_t i = boot->count; i-- > 0;)
        if (boot->spans[i].result == BOOT_RUNS && !strcmp(boot->spans[i].name, name))
            return &boot->spans[i];
    return NULL;
}

/* When the step began. The duration that the guest reports beats the times of its reports. The first report of a stage
 * is often lost, since that stage sets up the reporting: then its steps tell when it began. */
static uint64_t step_began_ms(const struct boot_report *finish, const struct boot_span *open)
{
    if (finish->duration_ms && finish->duration_ms <= finish->at_ms)
        return finish->at_ms - finish->duration_ms;
    if (open)
        return open->start_ms;
    return finish->is_step ? finish->at_ms : BOOT_NEVER;
}

static int add_report_span(struct boot *boot, const struct boot_report *report)
{
    struct boot_span span = {
        .kind = report->is_step ? BOOT_STEP : BOOT_STAGE, .result = BOOT_RUNS, .start_ms = report->at_ms};
    memcpy(span.name, report->name, sizeof span.name);
    memcpy(span.text, report->text, sizeof span.text);
    if (!report->finish)
        return add_span(boot, &span);
    struct boot_span *open = find_open(boot, report->name);
    span.start_ms = step_began_ms(report, open);
    span.end_ms = report->at_ms;
    span.result = report->result;
    if (!open)
        return add_span(boot, &span);
    *open = span;
    return 0;
}

static bool is_within(const struct boot_span *step, const struct boot_span *whole)
{
    size_t length = strlen(whole->name);
    return step->kind == BOOT_STEP && whole->kind != BOOT_STEP && !strncmp(step->name, whole->name, length) &&
           step->name[length] == '/';
}

static struct boot_span *find_whole(const struct boot *boot, const struct boot_span *step)
{
    for (size_t i = 0; i < boot->count; i++)
        if (is_within(step, &boot->spans[i]))
            return &boot->spans[i];
    return NULL;
}

/* Adds the stages of which only steps were reported. */
static int add_stages(struct boot *boot)
{
    for (size_t i = 0; i < boot->count; i++) {
        if (boot->spans[i].kind != BOOT_STEP || find_whole(boot, &boot->spans[i]))
            continue;
        char name[BOOT_NAME_MAX];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(boot->spans[i].name, "/"), boot->spans[i].name);
        int r = add_named_span(boot, BOOT_STAGE, name, BOOT_NEVER, 0, BOOT_RUNS, "");
        if (r < 0)
            return r;
    }
    return 0;
}

/* Gives a stage the beginning that its steps tell, and their end if it has none. */
static void fit_stage(struct boot *boot, struct boot_span *stage)
{
    uint64_t first = BOOT_NEVER, last = 0;
    for (size_t i = 0; i < boot->count; i++) {
        const struct boot_span *step = &boot->spans[i];
        if (!is_within(step, stage))
            continue;
        uint64_t end = step->result == BOOT_RUNS ? step->start_ms : step->end_ms;
        first = step->start_ms < first ? step->start_ms : first;
        last = end > last ? end : last;
    }
    if (stage->result == BOOT_RUNS)
        stage->end_ms = last;
    if (first < stage->start_ms)
        stage->start_ms = first;
    if (stage->start_ms == BOOT_NEVER)
        stage->start_ms = stage->end_ms;
    if (stage->end_ms < stage->start_ms)
        stage->end_ms = stage->start_ms;
}

static bool is_last_stage(const struct boot *boot, const struct boot_span *stage)
{
    for (size_t i = 0; i < boot->count; i++)
        if (boot->spans[i].kind == BOOT_STAGE && boot->spans[i].start_ms > stage->start_ms)
            return false;
    return true;
}

static void close_span(struct boot_span *span, uint64_t end, enum boot_result result)
{
    span->end_ms = end > span->start_ms ? end : span->start_ms;
    span->result = result;
}

/* A span without an end goes on if its boot goes on and nothing came after it. Else nobody saw its end. */
static void close_open_spans(struct boot *boot, uint64_t end, bool goes_on)
{
    for (size_t i = 0; i < boot->count; i++) {
        struct boot_span *stage = &boot->spans[i];
        if (stage->kind != BOOT_STAGE || stage->result != BOOT_RUNS)
            continue;
        if (is_last_stage(boot, stage))
            close_span(stage, end, goes_on ? BOOT_RUNS : BOOT_NO_END);
        else
            stage->result = BOOT_NO_END;
    }
    for (size_t i = 0; i < boot->count; i++) {
        struct boot_span *step = &boot->spans[i];
        if (step->kind != BOOT_STEP || step->result != BOOT_RUNS)
            continue;
        const struct boot_span *whole = find_whole(boot, step);
        if (whole)
            close_span(step, whole->end_ms, whole->result == BOOT_RUNS ? BOOT_RUNS : BOOT_NO_END);
        else
            close_span(step, end, goes_on ? BOOT_RUNS : BOOT_NO_END);
    }
}

static int add_report_spans(struct boot_raw *raw)
{
    struct boot *boot = &raw->boot;
    map_clock(raw->reports, raw->report_count);
    if (raw->report_count)
        qsort(raw->reports, raw->report_count, sizeof *raw->reports, by_guest_time);
    int r = 0;
    for (size_t i = 0; r == 0 && i < raw->report_count; i++)
        r = add_report_span(boot, &raw->reports[i]);
    if (r == 0)
        r = add_stages(boot);
    for (size_t i = 0; r == 0 && i < boot->count; i++)
        if (boot->spans[i].kind == BOOT_STAGE)
            fit_stage(boot, &boot->spans[i]);
    return r;
}

static struct boot_span *first_stage(const struct boot *boot)
{
    struct boot_span *first = NULL;
    for (size_t i = 0; i < boot->count; i++)
        if (boot->spans[i].kind == BOOT_STAGE && (!first || boot->spans[i].start_ms < first->start_ms))
            first = &boot->spans[i];
    return first;
}

/* The phase in which the seed is fetched, before cloud-init's stages. Later fetches do not make it longer. */
static int add_seed_spans(struct boot_raw *raw)
{
    struct boot *boot = &raw->boot;
    struct boot_span *stage = first_stage(boot);
    if (!raw->document_count)
        return 0;
    uint64_t first = raw->documents[0].start_ms, last = first, until = stage ? stage->end_ms : BOOT_NEVER;
    for (size_t i = 0; i < raw->document_count; i++)
        if (raw->documents[i].start_ms <= until)
            last = raw->documents[i].start_ms;
    /* The first stage fetches them before it can report. */
    if (stage && stage->start_ms > last)
        stage->start_ms = last;
    int r = add_named_span(boot, BOOT_PHASE, "seed", first, last, BOOT_OK, "");
    for (size_t i = 0; r == 0 && i < raw->document_count; i++)
        r = add_span(boot, &raw->documents[i]);
    return r;
}

/* When cloud-init takes over: the first request for the seed, or the first stage. */
static uint64_t userspace_ms(const struct boot_raw *raw)
{
    const struct boot_span *stage = first_stage(&raw->boot);
    uint64_t at = raw->document_count ? raw->documents[0].start_ms : BOOT_NEVER;
    return stage && stage->start_ms < at ? stage->start_ms : at;
}

/* The console tells when each phase began. A mark that is out of order does not count. Without marks there is one
 * phase. */
static int add_console_spans(struct boot_raw *raw, uint64_t end, enum boot_result last_result)
{
    static const char *const names[] = {"firmware", "bootloader", "kernel", "init"};
    const uint64_t *marks = &raw->marks[BOOT_MARK_FIRMWARE];
    uint64_t start = raw->marks[BOOT_MARK_POWER];
    const char *name = "firmware and kernel";
    if (start == BOOT_NEVER)
        return 0;
    if (marks[0] != BOOT_NEVER || marks[1] != BOOT_NEVER || marks[2] != BOOT_NEVER)
        name = names[0];
    for (size_t i = 1; i < PI_ARRAY_SIZE(names); i++) {
        if (marks[i] < start || marks[i] >= end)
            continue;
        int r = add_named_span(&raw->boot, BOOT_PHASE, name, start, marks[i], BOOT_OK, "");
        if (r < 0)
            return r;
        name = names[i];
        start = marks[i];
    }
    return add_named_span(&raw->boot, BOOT_PHASE, name, start, end, last_result, "");
}

static int add_point_spans(struct boot_raw *raw)
{
    static const struct {
        enum boot_mark mark;
        const char *name;
        enum boot_result result;
    } points[] = {{BOOT_MARK_LOGIN, "login prompt", BOOT_OK},
                  {BOOT_MARK_READY, "ready", BOOT_OK},
                  {BOOT_MARK_PANIC, "panic", BOOT_FAIL},
                  {BOOT_MARK_STUCK, "stuck", BOOT_FAIL},
                  {BOOT_MARK_SILENT, "silent", BOOT_WARN}};
    int r = 0;
    for (size_t i = 0; r == 0 && i < PI_ARRAY_SIZE(points); i++) {
        uint64_t at = raw->marks[points[i].mark];
        if (at != BOOT_NEVER)
            r = add_named_span(&raw->boot, BOOT_POINT, points[i].name, at, at, points[i].result,
                               points[i].result != BOOT_OK ? raw->boot.outcome_text : "");
    }
    return r;
}

static const struct boot_span *final_stage(const struct boot *boot)
{
    for (size_t i = 0; i < boot->count; i++)
        if (!strcmp(boot->spans[i].name, "modules-final") && boot->spans[i].result <= BOOT_FAIL)
            return &boot->spans[i];
    return NULL;
}

/* Decides what came of the boot, and when. */
static void set_outcome(struct boot_raw *raw, bool live)
{
    struct boot *boot = &raw->boot;
    const struct boot_span *final = final_stage(boot);
    uint64_t ended = raw->marks[BOOT_MARK_ENDED];
    boot->outcome = BOOT_READY;
    if (raw->marks[BOOT_MARK_READY] != BOOT_NEVER)
        boot->total_ms = raw->marks[BOOT_MARK_READY];
    else if (raw->marks[BOOT_MARK_PANIC] != BOOT_NEVER)
        boot->outcome = BOOT_PANICKED, boot->total_ms = raw->marks[BOOT_MARK_PANIC];
    else if (raw->marks[BOOT_MARK_STUCK] != BOOT_NEVER)
        boot->outcome = BOOT_STUCK, boot->total_ms = raw->marks[BOOT_MARK_STUCK];
    else if (raw->marks[BOOT_MARK_SILENT] != BOOT_NEVER)
        boot->outcome = BOOT_SILENT, boot->total_ms = raw->marks[BOOT_MARK_SILENT];
    else if (final)
        boot->outcome = BOOT_FAILED, boot->total_ms = final->end_ms;
    else if (live)
        boot->outcome = BOOT_BOOTING, boot->total_ms = raw->t;
    else
        boot->outcome = BOOT_ENDED, boot->total_ms = ended != BOOT_NEVER ? ended : raw->t;
    if (boot->outcome != BOOT_PANICKED && boot->outcome != BOOT_STUCK && boot->outcome != BOOT_SILENT)
        boot->outcome_text[0] = '\0';
    if (boot->outcome == BOOT_ENDED) {
        memcpy(boot->outcome_text, boot->stopped_text, sizeof boot->outcome_text);
        boot->stopped_text[0] = '\0';
    } else if (ended != BOOT_NEVER) {
        boot->stopped_ms = ended;
    }
}

static int add_preparation_spans(struct boot_raw *raw, uint64_t end, enum boot_result last_result)
{
    uint64_t starting = raw->marks[BOOT_MARK_STARTING], power = raw->marks[BOOT_MARK_POWER];
    int r = 0;
    if (raw->created)
        r = add_named_span(&raw->boot, BOOT_PHASE, "preparation", 0, starting != BOOT_NEVER ? starting : end,
                           starting != BOOT_NEVER ? BOOT_OK : last_result, "");
    if (r == 0 && starting != BOOT_NEVER)
        r = add_named_span(&raw->boot, BOOT_PHASE, raw->resumed ? "resume" : "QEMU", starting,
                           power != BOOT_NEVER ? power : end, power != BOOT_NEVER ? BOOT_OK : last_result,
                           "");
    return r;
}

/* A guest that resumed has no other phase between its power and its cloud-init. */
static int add_identity_span(struct boot_raw *raw, uint64_t end, enum boot_result last_result)
{
    uint64_t power = raw->marks[BOOT_MARK_POWER], told = raw->marks[BOOT_MARK_IDENTITY];
    if (power == BOOT_NEVER)
        return 0;
    return add_named_span(&raw->boot, BOOT_PHASE, "identity", power, told != BOOT_NEVER ? told : end,
                          told != BOOT_NEVER ? BOOT_OK : last_result, "");
}

/* Until its cloud-init begins. */
static int add_queue_span(struct boot_raw *raw, uint64_t end, enum boot_result result)
{
    uint64_t queued = raw->marks[BOOT_MARK_QUEUED];
    return queued == BOOT_NEVER || end < queued
               ? 0
               : add_named_span(&raw->boot, BOOT_PHASE, "queue", queued, end, result, "");
}

/* qsort() is not stable and takes no context, so each span carries its place with it. */
struct place {
    uint64_t whole_ms, start_ms;
    size_t whole, index;
    bool is_step;
    struct boot_span span;
};

static int by_place_in_chart(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->whole != y->whole && x->whole_ms != y->whole_ms)
        return x->whole_ms < y->whole_ms ? -1 : 1;
    if (x->whole != y->whole)
        return x->whole < y->whole ? -1 : 1;
    if (x->is_step != y->is_step)
        return x->is_step ? 1 : -1;
    if (x->start_ms != y->start_ms)
        return x->start_ms < y->start_ms ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static int sort_spans(struct boot *boot)
{
    pi_auto_free struct place *places = calloc(boot->count + 1, sizeof *places);
    if (!places)
        return -ENOMEM;
    for (size_t i = 0; i < boot->count; i++) {
        const struct boot_span *span = &boot->spans[i],
                               *whole = span->kind == BOOT_STEP ? find_whole(boot, span) : span;
        whole = whole ? whole : span;
        places[i] = (struct place){.whole_ms = whole->start_ms,
                                   .start_ms = span->start_ms,
                                   .whole = (size_t)(whole - boot->spans),
                                   .index = i,
                                   .is_step = whole != span,
                                   .span = *span};
    }
    qsort(places, boot->count, sizeof *places, by_place_in_chart);
    for (size_t i = 0; i < boot->count; i++)
        boot->spans[i] = places[i].span;
    return 0;
}

int boot_raw_finish(struct boot_raw *raw, bool live)
{
    struct boot *boot = &raw->boot;
    int r = add_report_spans(raw);
    if (r < 0)
        return r;
    set_outcome(raw, live);
    bool goes_on = boot->outcome == BOOT_BOOTING;
    enum boot_result last = goes_on ? BOOT_RUNS : BOOT_NO_END;
    close_open_spans(boot, boot->total_ms, goes_on);
    uint64_t over = userspace_ms(raw);
    r = add_seed_spans(raw);
    if (r == 0)
        r = add_preparation_spans(raw, boot->total_ms, last);
    uint64_t end = over != BOOT_NEVER ? over : boot->total_ms;
    enum boot_result result = over != BOOT_NEVER ? BOOT_OK : last;
    if (r == 0 && raw->resumed)
        r = add_identity_span(raw, boot->total_ms, last);
    if (r == 0)
        r = raw->resumed ? add_queue_span(raw, end, result) : add_console_spans(raw, end, result);
    if (r == 0)
        r = add_point_spans(raw);
    return r < 0 ? r : sort_spans(boot);
}
