/* SPDX-License-Identifier: MIT */
#include "agent/boot/boot_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"
#include "agent/boot/raw.h"

/* The sum and the difference of any two times stay within int64_t. */
#define TIME_MAX ((uint64_t)1 << 60)

const char *const boot_kind_names[] = {"phase", "stage", "step", "point", NULL};
const char *const boot_result_names[] = {"ok", "warn", "fail", "running", "unfinished", NULL};
const char *const boot_outcome_names[] = {"ready",  "failed", "panicked", "stuck",
                                          "silent", "ended",  "booting",  NULL};

static uint64_t bounded_ms(uint64_t ms)
{
    return ms < TIME_MAX ? ms : TIME_MAX;
}

static void clean_guest_text(const char *text, char *ret, size_t size)
{
    pi_text_clean(text ? text : "", text ? strlen(text) : 0, ret, size);
}
#define CLEAN(text, array) clean_guest_text((text), (array), sizeof(array))

void *boot_grow(void *items, size_t count, size_t size)
{
    if (count & (count - 1))
        return items; /* there is room up to the next power of two */
    return reallocarray(items, count ? 2 * count : 1, size);
}

static void raw_free(struct boot_raw *raw)
{
    if (raw) {
        free(raw->boot.spans);
        free(raw->documents);
        free(raw->reports);
    }
    free(raw);
}

/* The open boot becomes the newest of the list, which keeps BOOTS_MAX. */
static int close_boot(struct boot_list *list, bool live)
{
    struct boot_raw *raw = list->open;
    if (!raw)
        return 0;
    struct boot *items = boot_grow(list->items, list->count, sizeof *items);
    if (!items)
        return -ENOMEM;
    list->items = items;
    int r = boot_raw_finish(raw, live);
    if (r < 0)
        return r;
    if (list->count == BOOTS_MAX) {
        free(items[0].spans);
        memmove(items, items + 1, --list->count * sizeof *items);
    }
    items[list->count++] = raw->boot;
    raw->boot.spans = NULL;
    raw_free(pi_steal(list->open));
    return 0;
}

/* An instance that was made and not started has no boot yet. */
static void forget_unstarted(struct boot_list *list)
{
    const struct boot_raw *open = list->open;
    if (open && open->created && open->marks[BOOT_MARK_ENDED] != BOOT_NEVER &&
        open->marks[BOOT_MARK_STARTING] == BOOT_NEVER && open->marks[BOOT_MARK_POWER] == BOOT_NEVER) {
        raw_free(pi_steal(list->open));
        list->read--;
    }
}

static int open_boot(struct boot_list *list, const struct api_event *event, const char *why)
{
    forget_unstarted(list);
    struct boot_raw *before = list->open;
    if (before && before->marks[BOOT_MARK_ENDED] == BOOT_NEVER) {
        before->marks[BOOT_MARK_ENDED] = before->t;
        CLEAN(why, before->boot.stopped_text);
    }
    int r = close_boot(list, false);
    struct boot_raw *raw = r < 0 ? NULL : calloc(1, sizeof *raw);
    if (!raw)
        return -ENOMEM;
    raw->boot.number = ++list->read;
    raw->boot.began_ms = event->realtime_ms;
    CLEAN(why, raw->boot.why);
    raw->created = event->kind == API_EVENT_STATE && event->state == VM_CREATED;
    raw->resumed = !strcmp(why, API_BOOT_RESUMED);
    raw->clock_ms = bounded_ms(event->monotonic_ms);
    for (size_t i = 0; i < BOOT_MARKS; i++)
        raw->marks[i] = BOOT_NEVER;
    list->open = raw;
    return 0;
}

/* The host's monotonic clock begins anew when the host reboots. No time passes then. */
static void pass_time(struct boot_raw *raw, uint64_t monotonic_ms)
{
    uint64_t now = bounded_ms(monotonic_ms);
    if (now > raw->clock_ms)
        raw->t = bounded_ms(raw->t + (now - raw->clock_ms));
    raw->clock_ms = now;
}

static void set_mark(struct boot_raw *raw, enum boot_mark which)
{
    if (raw->marks[which] == BOOT_NEVER)
        raw->marks[which] = raw->t;
}

static int add_report(struct boot_raw *raw, const struct api_event *event)
{
    if (raw->report_count == BOOT_REPORTS_MAX) {
        raw->boot.dropped++;
        return 0;
    }
    struct boot_report *reports = boot_grow(raw->reports, raw->report_count, sizeof *reports);
    if (!reports)
        return -ENOMEM;
    raw->reports = reports;
    struct boot_report *report = &reports[raw->report_count];
    char name[BOOT_NAME_MAX];
    *report = (struct boot_report){
        .seen_ms = raw->t,
        .guest_ms = bounded_ms(event->guest_ms),
        .duration_ms = bounded_ms(event->duration_ms),
        .order = raw->report_count++,
        .finish = event->report == IMDS_EVENT_FINISH,
        .is_step = event->module && event->module[0],
        .result = event->result == IMDS_RESULT_FAIL   ? BOOT_FAIL
                  : event->result == IMDS_RESULT_WARN ? BOOT_WARN
                                                      : BOOT_OK,
    };
    snprintf(name, sizeof name, "%.60s%s%.95s", event->stage ? event->stage : "", report->is_step ? "/" : "",
             report->is_step ? event->module : "");
    CLEAN(name, report->name);
    CLEAN(event->text, report->text);
    return 0;
}

/* "meta-data fetched by Cloud-Init/25.1" */
static int add_document(struct boot_raw *raw, const struct api_event *event)
{
    if (raw->document_count == BOOT_SPANS_MAX / 8) {
        raw->boot.dropped++;
        return 0;
    }
    struct boot_span *documents = boot_grow(raw->documents, raw->document_count, sizeof *documents);
    if (!documents)
        return -ENOMEM;
    raw->documents = documents;
    struct boot_span *document = &documents[raw->document_count++];
    *document = (struct boot_span){.kind = BOOT_STEP, .start_ms = raw->t, .end_ms = raw->t};
    CLEAN(event->text, document->text);
    snprintf(document->name, sizeof document->name, "seed/%.*s", (int)strcspn(document->text, " "),
             document->text);
    return 0;
}

static void note_end(struct boot_raw *raw, const struct api_event *event)
{
    char text[512];
    if (raw->marks[BOOT_MARK_ENDED] != BOOT_NEVER)
        return;
    set_mark(raw, BOOT_MARK_ENDED);
    snprintf(text, sizeof text, "%s%s%.400s", vm_state_names[event->state], event->text ? ": " : "",
             event->text ? event->text : "");
    CLEAN(text, raw->boot.stopped_text);
}

/* Its guest has not run yet. A guest that was suspended goes on with the boot that it had. */
static bool is_unborn(const struct boot_raw *raw)
{
    return (raw->created || raw->resumed) && raw->marks[BOOT_MARK_POWER] == BOOT_NEVER;
}

static void note_state_event(struct boot_raw *raw, const struct api_event *event)
{
    switch (event->state) {
    case VM_RESTORING:
        if (is_unborn(raw)) {
            raw->resumed = true;
            set_mark(raw, BOOT_MARK_STARTING);
        }
        return;
    case VM_SAVED:
        if (is_unborn(raw))
            note_end(raw, event);
        return;
    case VM_STARTING:
        set_mark(raw, BOOT_MARK_STARTING);
        return;
    case VM_RUNNING:
        if (raw->marks[BOOT_MARK_STARTING] != BOOT_NEVER)
            set_mark(raw, BOOT_MARK_POWER);
        return;
    case VM_READY:
        set_mark(raw, BOOT_MARK_READY);
        return;
    case VM_STOPPED:
    case VM_FAILED:
    case VM_LOST:
        note_end(raw, event);
        return;
    default:
        return;
    }
}

static void note_landmark(struct boot_raw *raw, enum vm_landmark landmark)
{
    static const enum boot_mark marks[VM_LANDMARKS] = {
        [VM_LANDMARK_FIRMWARE] = BOOT_MARK_FIRMWARE, [VM_LANDMARK_BOOTLOADER] = BOOT_MARK_BOOTLOADER,
        [VM_LANDMARK_KERNEL] = BOOT_MARK_KERNEL,     [VM_LANDMARK_INIT] = BOOT_MARK_INIT,
        [VM_LANDMARK_LOGIN] = BOOT_MARK_LOGIN,
    };
    if (landmark && landmark < VM_LANDMARKS)
        set_mark(raw, marks[landmark]);
}

/* The reason if this event begins a boot. NULL if it belongs to the open one. */
static const char *why_it_begins(const struct boot_raw *open, const struct api_event *event)
{
    bool asked = open && (open->marks[BOOT_MARK_STARTING] != BOOT_NEVER || open->created);
    bool waits =
        asked && open->marks[BOOT_MARK_POWER] == BOOT_NEVER && open->marks[BOOT_MARK_ENDED] == BOOT_NEVER;
    if (event->kind == API_EVENT_STATE && event->state == VM_CREATED)
        return vm_state_names[VM_CREATED];
    if (event->kind == API_EVENT_STATE && event->state == VM_RESTORING && open && is_unborn(open) &&
        open->marks[BOOT_MARK_ENDED] != BOOT_NEVER)
        return API_BOOT_RESUMED;
    /* A second "starting": KVM failed, and the guest starts afresh without it. */
    if (event->kind == API_EVENT_STATE && event->state == VM_STARTING)
        return waits ? NULL : API_BOOT_STARTED;
    if (event->kind == API_EVENT_BOOT && !waits && (!open || open->announced || api_event_is_reboot(event)))
        return event->text ? event->text : API_BOOT_STARTED;
    return open ? NULL : "";
}

static int add_event(struct boot_raw *raw, const struct api_event *event)
{
    if (api_event_takes_back(event, API_EVENT_STUCK))
        raw->marks[BOOT_MARK_STUCK] = BOOT_NEVER;
    if (api_event_takes_back(event, API_EVENT_SILENT))
        raw->marks[BOOT_MARK_SILENT] = BOOT_NEVER;
    switch (event->kind) {
    case API_EVENT_STATE:
        note_state_event(raw, event);
        return 0;
    case API_EVENT_BOOT:
        raw->announced = true;
        set_mark(raw, BOOT_MARK_POWER);
        return 0;
    case API_EVENT_LANDMARK:
        note_landmark(raw, event->landmark);
        return 0;
    case API_EVENT_SEED:
        return add_document(raw, event);
    case API_EVENT_IDENTITY:
        set_mark(raw, BOOT_MARK_IDENTITY);
        return 0;
    case API_EVENT_QUEUED:
        set_mark(raw, BOOT_MARK_QUEUED);
        return 0;
    case API_EVENT_REPORT:
        return add_report(raw, event);
    case API_EVENT_PANIC:
    case API_EVENT_STUCK:
    case API_EVENT_SILENT:
        set_mark(raw, event->kind == API_EVENT_PANIC   ? BOOT_MARK_PANIC
                      : event->kind == API_EVENT_STUCK ? BOOT_MARK_STUCK
                                                       : BOOT_MARK_SILENT);
        CLEAN(event->text, raw->boot.outcome_text);
        return 0;
    default:
        return 0;
    }
}

int boot_list_add(struct boot_list *list, const struct api_event *event)
{
    /* The journal holds no progress, and an instance that could not be made has no boot. */
    if (event->kind == API_EVENT_IMAGE || event->kind == API_EVENT_ERROR)
        return 0;
    if (list->open)
        pass_time(list->open, event->monotonic_ms);
    const char *why = why_it_begins(list->open, event);
    int r = why ? open_boot(list, event, why) : 0;
    return r < 0 ? r : add_event(list->open, event);
}

int boot_list_end(struct boot_list *list, uint64_t now_ms)
{
    bool live = now_ms && list->open && list->open->marks[BOOT_MARK_ENDED] == BOOT_NEVER;
    if (live)
        pass_time(list->open, now_ms);
    return close_boot(list, live);
}

void boot_list_done(struct boot_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].spans);
    free(list->items);
    raw_free(list->open);
    *list = (struct boot_list){0};
}

const struct boot *boot_list_find(const struct boot_list *list, int64_t number)
{
    for (size_t i = 0; i < list->count; i++)
        if (number > 0 ? list->items[i].number == number : (int64_t)(i + 1) - (int64_t)list->count == number)
            return &list->items[i];
    return NULL;
}
