/* SPDX-License-Identifier: MIT */
#include "imds/report.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

const char *const imds_event_names[] = {"start", "finish", NULL};
const char *const imds_result_names[] = {"none", "SUCCESS", "WARN", "FAIL", NULL};

/* 9999-12-31. A later time is nonsense, and would overflow when it is multiplied. */
#define SECONDS_MAX 253402300799.0

static void copy_bytes(char *ret, const char *text, size_t length)
{
    memcpy(ret, text, length);
    ret[length] = '\0';
}

static int parse_name(const json_t *object, struct imds_report *report)
{
    const char *name = json_string_value(json_object_get(object, "name"));
    if (!name || name[0] == '\0')
        return -EBADMSG;
    for (const char *c = name; *c; c++)
        if (*c <= ' ' || *c > '~')
            return -EBADMSG;

    const size_t length = strlen(name), stage_length = strcspn(name, "/");
    const char *module = name + stage_length + (name[stage_length] == '/');
    const size_t module_length = strlen(module);
    if (length >= sizeof(report->name) || stage_length >= sizeof(report->stage) ||
        module_length >= sizeof(report->module))
        return -EBADMSG;
    copy_bytes(report->name, name, length);
    copy_bytes(report->stage, name, stage_length);
    copy_bytes(report->module, module, module_length);
    return 0;
}

/* An optional text. If it is too long it is cut between characters; jansson has checked that it is UTF-8. */
static int parse_text(const json_t *object, const char *key, char *ret, size_t size)
{
    const json_t *value = json_object_get(object, key);
    if (!value)
        return 0;
    if (!json_is_string(value))
        return -EBADMSG;
    const char *text = json_string_value(value);
    size_t length = strlen(text);
    if (length >= size) {
        length = size - 1;
        while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80)
            length--;
    }
    copy_bytes(ret, text, length);
    return 0;
}

/* Seconds to milliseconds. -ENOENT if the key is absent. */
static int parse_seconds(const json_t *object, const char *key, int64_t *ret_ms)
{
    const json_t *value = json_object_get(object, key);
    if (!value)
        return -ENOENT;
    double seconds = json_number_value(value);
    if (!json_is_number(value) || seconds < 0 || seconds > SECONDS_MAX)
        return -EBADMSG;
    *ret_ms = (int64_t)(seconds * 1000 + 0.5);
    return 0;
}

static int parse_times(const json_t *object, struct imds_report *report)
{
    int64_t timestamp_ms;
    if (parse_seconds(object, "timestamp", &timestamp_ms) < 0)
        return -EBADMSG;
    report->timestamp_ms = (uint64_t)timestamp_ms;
    report->duration_ms = -1;
    return parse_seconds(object, "duration", &report->duration_ms) == -EBADMSG ? -EBADMSG : 0;
}

/* first: the index of the first name that may come. */
static int parse_word(const json_t *object, const char *key, const char *const *names, unsigned first,
                      unsigned *ret)
{
    const char *word = json_string_value(json_object_get(object, key));
    for (unsigned i = first; word && names[i]; i++) {
        if (strcmp(word, names[i]) == 0) {
            *ret = i;
            return 0;
        }
    }
    return -EBADMSG;
}

static int parse_outcome(const json_t *object, struct imds_report *report)
{
    if (parse_word(object, "event_type", imds_event_names, 0, &report->event) < 0)
        return -EBADMSG;
    if (report->event == IMDS_EVENT_START)
        return 0;
    return parse_word(object, "result", imds_result_names, IMDS_RESULT_SUCCESS, &report->result);
}

int imds_report_parse(const char *body, size_t size, struct imds_report *ret)
{
    if (size > IMDS_REPORT_MAX)
        return -E2BIG;
    json_auto_t *object = json_loadb(body, size, JSON_REJECT_DUPLICATES, NULL);
    struct imds_report report = {0};
    if (!json_is_object(object) || parse_name(object, &report) < 0 || parse_outcome(object, &report) < 0 ||
        parse_times(object, &report) < 0 ||
        parse_text(object, "description", report.description, sizeof(report.description)) < 0 ||
        parse_text(object, "origin", report.origin, sizeof(report.origin)) < 0)
        return -EBADMSG;
    *ret = report;
    return 0;
}

bool imds_report_ends_boot(const struct imds_report *report)
{
    return report->event == IMDS_EVENT_FINISH && strcmp(report->name, "modules-final") == 0;
}
