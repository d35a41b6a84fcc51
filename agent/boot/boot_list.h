/* SPDX-License-Identifier: MIT */
/*
 * The boots of an instance, read from its events (agent/api/types.h): what ran when, for how long, and how it ended.
 * Pure: events and the time go in; spans, text, JSON and a page come out.
 *
 * Times are milliseconds since the first event of the boot. That is "created" if the instance was made for this boot,
 * else "starting" or "restoring", else the reset. The guest tells by its own clock when its modules ran. Those times are put onto the
 * host's clock by the least delay of its reports, anew each time its clock was set. Texts of a guest are cleaned
 * (pi_text_clean) and bounded; "dropped" counts what is past a bound.
 */
#ifndef PIAGENT_BOOT_BOOT_LIST_H
#define PIAGENT_BOOT_BOOT_LIST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/api/types.h"
#include "agent/base/buf.h"

#define BOOT_SPANS_MAX   1024 /* of one boot: a real one has some fifty */
#define BOOT_REPORTS_MAX 2048
#define BOOTS_MAX        64 /* of one instance: the newest */
#define BOOT_NAME_MAX    160

enum boot_kind {
    BOOT_PHASE, /* "preparation", "QEMU", "firmware", "bootloader", "kernel", "init", "seed"; of one that resumes from a
                   template "preparation", "resume", "identity", "queue", "seed" */
    BOOT_STAGE, /* of cloud-init: "init-network", "modules-config", "modules-final" */
    BOOT_STEP,  /* in a phase or stage: "seed/meta-data", "modules-final/config-scripts-user" */
    BOOT_POINT, /* a moment: "login prompt", "ready", "panic", "stuck", "silent" */
};
extern const char *const boot_kind_names[]; /* "phase", "stage", "step", "point" */

enum boot_result {
    BOOT_OK,
    BOOT_WARN,
    BOOT_FAIL,
    BOOT_RUNS,   /* it goes on; its end is the time that boot_list_end() was given */
    BOOT_NO_END, /* nobody saw its end */
};
extern const char *const boot_result_names[]; /* "ok", "warn", "fail", "running", "unfinished" */

struct boot_span {
    enum boot_kind kind;
    enum boot_result result;
    /* mostly unique in its boot; the same step has the same name in every boot */
    char name[BOOT_NAME_MAX];
    uint64_t start_ms, end_ms; /* start <= end */
    char text[256];            /* what the guest or piagent said about it, or "" */
};

enum boot_outcome {
    BOOT_READY,    /* cloud-init finished without failures */
    BOOT_FAILED,   /* cloud-init finished, and something failed */
    BOOT_PANICKED, /* the guest's kernel panicked */
    BOOT_STUCK,    /* the console shows why the boot goes no further, and nothing came after that */
    BOOT_SILENT,   /* the guest came up, and its cloud-init did not report */
    BOOT_ENDED,    /* it ended before any of these: outcome_text says how */
    BOOT_BOOTING,  /* it goes on */
};
/* "ready", "failed", "panicked", "stuck", "silent", "ended", "booting" */
extern const char *const boot_outcome_names[];

struct boot {
    unsigned number;   /* from 1, in the journal as far as that goes back */
    uint64_t began_ms; /* realtime */
    char why
        [16]; /* "created", "started", "reset", "rebooted", "begun again", "resumed", or "" if the journal does not
                     hold the beginning */
    enum boot_outcome outcome;
    char outcome_text[256];
    uint64_t total_ms; /* to the outcome */
    /* after the outcome: when and how the instance stopped; 0 = it did not */
    uint64_t stopped_ms;
    char stopped_text[256];
    struct boot_span *spans; /* phases and stages by time, each before its steps */
    size_t count;
    size_t dropped;
};

/* Zeroed memory is an empty list. */
struct boot_list {
    struct boot *items; /* oldest first */
    size_t count;
    struct boot_raw *open; /* the boot that is being read */
    unsigned read;
};

/* Takes the next event of the instance, in the order of the journal. 0 or -ENOMEM. */
int boot_list_add(struct boot_list *list, const struct api_event *event);

/* Call it after the last event. now_ms is the monotonic time if the instance lives, and 0 if no QEMU runs. 0 or
 * -ENOMEM. */
int boot_list_end(struct boot_list *list, uint64_t now_ms);
void boot_list_done(struct boot_list *list);
#define pi_auto_boots __attribute__((cleanup(boot_list_done)))

/* 0 = the newest, -1 = the one before it, 1 = the first that the journal holds. NULL if there is none. */
const struct boot *boot_list_find(const struct boot_list *list, int64_t number);

/* One step in several boots: spans[i] is the step in boot i, or NULL. */
#define BOOT_COMPARE_MAX 8
struct boot_row {
    const struct boot_span *spans[BOOT_COMPARE_MAX];
};

/* Puts the steps of boots side by side, in their order. *ret is allocated; its spans belong to the boots. 0, -ENOMEM, or
 * -E2BIG for more boots than BOOT_COMPARE_MAX. */
int boot_rows(const struct boot *const *boots, size_t count, struct boot_row **ret, size_t *ret_count);

/* A boot, and the name under which it is shown: "web", "web@-1". */
struct boot_shown {
    const struct boot *boot;
    const char *name;
};

struct boot_style {
    unsigned width; /* columns, at least 80 */
    bool utf8;      /* else plain ASCII */
    bool colours;
    bool all;           /* also steps shorter than BOOT_SHORT_MS */
    bool by_difference; /* boot_text_compare(): the largest difference first; else by time */
};
#define BOOT_SHORT_MS 100

/* A waterfall for a terminal; two boots side by side, step by step. 0 or -ENOMEM. */
int boot_text(const struct boot_shown *shown, const struct boot_style *style, struct pi_buf *ret);
int boot_text_compare(const struct boot_shown shown[2], const struct boot_style *style, struct pi_buf *ret);

/*
 * The boots for tools; a new reference, or NULL without memory. Keys stay, and others may come. An empty text is left
 * out, and so is stopped_ms if the instance did not stop.
 *
 *   {"boots": [{"instance": "web", "boot": 2, "began_ms": since 1970, "why": "started",
 *               "outcome": "ended", "outcome_text": "reset", "total_ms": 52400, "stopped_ms": 60000, "stopped_text": "stopped",
 *               "dropped": 0,
 *               "spans": [{"name": "modules-final/config-scripts-user", "kind": "step", "start_ms": 41200,
 *                          "duration_ms": 310, "result": "fail", "text": "..."}]}]}
 *
 * The values are those of struct boot and struct boot_span. "instance" is the name under which it is shown.
 */
json_t *boot_json(const struct boot_shown *shown, size_t count);

/*
 * One page of HTML that needs nothing else: no network, and no script to show its table. nonce is random hexadecimal
 * digits, new for each page. A browser runs no script and no style without it (Content-Security-Policy). 0 or -ENOMEM.
 */
int boot_page(const struct boot_shown *shown, size_t count, const char *nonce, struct pi_buf *ret);

/* "24ms", "3.2s", "1m30s", "2h05m". Returns buf. */
char *boot_duration(uint64_t ms, char buf[32]);

/* The spans that took longest, at most max, the longest first; the steps of a stage instead of the stage. Returns how
 * many. */
size_t boot_slowest(const struct boot *boot, const struct boot_span **ret, size_t max);

#endif
