/* SPDX-License-Identifier: MIT */
/*
 * Parses a report of the guest's cloud-init: the body of one POST of its webhook handler
 * (cloudinit/reporting/events.py and handlers.py). The guest may send anything.
 */
#ifndef IMDS_REPORT_H
#define IMDS_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest body that is parsed. */
#define IMDS_REPORT_MAX ((size_t)64 << 10)

enum imds_event { IMDS_EVENT_START, IMDS_EVENT_FINISH, IMDS_EVENTS };
extern const char *const imds_event_names[]; /* "start", "finish", NULL */

enum imds_result {
    IMDS_RESULT_NONE, /* a start has no result */
    IMDS_RESULT_SUCCESS,
    IMDS_RESULT_WARN,
    IMDS_RESULT_FAIL,
    IMDS_RESULTS
};
extern const char
    *const imds_result_names[]; /* "none", which is no word of a report, "SUCCESS", "WARN", "FAIL", NULL */

struct imds_report {
    enum imds_event event;
    enum imds_result result;
    uint64_t timestamp_ms; /* since 1970, by the guest's clock: reports can arrive out of order: sort by it */
    int64_t duration_ms;   /* -1 if absent; cloud-init tells it since 26.1, on finish */

    /* "modules-final/config-scripts-user", and its parts: the boot stage, and the module or step in it.
     * module is "" if the report is about the whole stage. Visible ASCII only. */
    char name[128];
    char stage[64];
    char module[96];

    /* UTF-8. They may hold control characters: clean them before you show them. A longer text is cut between
     * characters. "" if absent. */
    char description[256];
    char origin[64];
};

/*
 * Parses a body. It must have name, event_type, timestamp and, on finish, result. Unknown members ("files",
 * for example) are ignored. 0, -E2BIG (longer than IMDS_REPORT_MAX) or -EBADMSG (no JSON object, a key twice,
 * a wrong type, a value out of its range, a name that is too long); *ret is untouched on failure. JSON may be
 * nested as deep as jansson lets it (2,048).
 */
int imds_report_parse(const char *body, size_t size, struct imds_report *ret);

/* Tells if it ends the boot: the finish of "modules-final", the last stage, failed or not. */
bool imds_report_ends_boot(const struct imds_report *report);

#endif
