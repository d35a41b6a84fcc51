/* SPDX-License-Identifier: MIT */
/* Boots beyond their spans: steps side by side, the slowest ones, times for people, JSON. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"
#include "agent/boot/boot_list.h"

/* The row of the same step that has no span of this boot yet, or count. */
static size_t find_row(const struct boot_row *rows, size_t count, size_t boot, const struct boot_span *span)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < boot && !rows[i].spans[boot]; k++)
            if (rows[i].spans[k] && rows[i].spans[k]->kind == span->kind &&
                !strcmp(rows[i].spans[k]->name, span->name))
                return i;
    return count;
}

/* Adds a boot to the rows. A step that the other boots lack gets a row behind the step before it. */
static size_t merge_boot(struct boot_row *rows, size_t count, const struct boot *boot, size_t index)
{
    size_t at = 0;
    for (size_t i = 0; i < boot->count; i++) {
        size_t row = find_row(rows, count, index, &boot->spans[i]);
        if (row == count) {
            row = at;
            memmove(&rows[row + 1], &rows[row], (count++ - row) * sizeof *rows);
            rows[row] = (struct boot_row){0};
        }
        rows[row].spans[index] = &boot->spans[i];
        at = row + 1;
    }
    return count;
}

int boot_rows(const struct boot *const *boots, size_t count, struct boot_row **ret, size_t *ret_count)
{
    size_t most = 1, used = 0;
    if (count > BOOT_COMPARE_MAX)
        return -E2BIG;
    for (size_t i = 0; i < count; i++)
        most += boots[i]->count;
    struct boot_row *rows = calloc(most, sizeof *rows);
    if (!rows)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        used = merge_boot(rows, used, boots[i], i);
    *ret = rows;
    *ret_count = used;
    return 0;
}

char *boot_duration(uint64_t ms, char buf[32])
{
    if (ms >= 100)
        return pi_duration_format(ms, buf);
    snprintf(buf, 32, ms ? "%" PRIu64 "ms" : "%" PRIu64 "s", ms);
    return buf;
}

static bool has_steps(const struct boot *boot, size_t index)
{
    return index + 1 < boot->count && boot->spans[index + 1].kind == BOOT_STEP;
}

size_t boot_slowest(const struct boot *boot, const struct boot_span **ret, size_t max)
{
    size_t count = 0;
    for (size_t i = 0; i < boot->count; i++) {
        const struct boot_span *span = &boot->spans[i];
        uint64_t took = span->end_ms - span->start_ms;
        size_t at = count;
        if (took < BOOT_SHORT_MS || (span->kind == BOOT_STAGE && has_steps(boot, i)))
            continue;
        while (at > 0 && ret[at - 1]->end_ms - ret[at - 1]->start_ms < took)
            at--;
        if (at == max)
            continue;
        count += count < max;
        memmove(&ret[at + 1], &ret[at], (count - 1 - at) * sizeof *ret);
        ret[at] = span;
    }
    return count;
}

/* NULL for "", which the JSON leaves out. */
static const char *text_or_null(const char *text)
{
    return *text ? text : NULL;
}

static json_t *span_json(const struct boot_span *span)
{
    return json_pack("{s:s, s:s, s:I, s:I, s:s, s:s*}", "name", span->name, "kind",
                     boot_kind_names[span->kind], "start_ms", (json_int_t)span->start_ms, "duration_ms",
                     (json_int_t)(span->end_ms - span->start_ms), "result", boot_result_names[span->result],
                     "text", text_or_null(span->text));
}

static json_t *shown_json(const struct boot_shown *shown)
{
    const struct boot *boot = shown->boot;
    json_t *spans = json_array();
    for (size_t i = 0; i < boot->count; i++)
        json_array_append_new(spans, span_json(&boot->spans[i]));
    json_t *ret =
        json_pack("{s:s, s:I, s:I, s:s*, s:s, s:s*, s:I, s:s*, s:I, s:o}", "instance", shown->name, "boot",
                  (json_int_t)boot->number, "began_ms", (json_int_t)boot->began_ms, "why",
                  text_or_null(boot->why), "outcome", boot_outcome_names[boot->outcome], "outcome_text",
                  text_or_null(boot->outcome_text), "total_ms", (json_int_t)boot->total_ms, "stopped_text",
                  text_or_null(boot->stopped_text), "dropped", (json_int_t)boot->dropped, "spans", spans);
    if (boot->stopped_ms)
        json_object_set_new(ret, "stopped_ms", json_integer((json_int_t)boot->stopped_ms));
    return ret;
}

json_t *boot_json(const struct boot_shown *shown, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, shown_json(&shown[i]));
    return json_pack("{s:o}", "boots", list);
}
