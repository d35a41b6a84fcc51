/* SPDX-License-Identifier: MIT */
/* Boots for a terminal: one as a waterfall, or two side by side. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/boot/chart.h"

#define TIME_WIDTH 8u
#define SLOWEST    3

static uint64_t span_ms(const struct boot_span *span)
{
    return span ? span->end_ms - span->start_ms : 0;
}

static bool is_short_row(const struct boot_row *row, size_t boots)
{
    for (size_t i = 0; i < boots; i++)
        if (row->spans[i] && (row->spans[i]->kind != BOOT_STEP || row->spans[i]->result != BOOT_OK ||
                              span_ms(row->spans[i]) >= BOOT_SHORT_MS))
            return false;
    return true;
}

/* Tells how many short steps were left out, before the next phase or stage begins. */
static void print_folded(struct boot_chart *chart, size_t *folded)
{
    if (*folded)
        chart_print(chart, "  + %zu shorter than 0.1s\n", *folded);
    *folded = 0;
}

static uint64_t boot_scale_ms(const struct boot *boot)
{
    uint64_t scale = boot->total_ms;
    for (size_t i = 0; i < boot->count; i++)
        scale = boot->spans[i].end_ms > scale ? boot->spans[i].end_ms : scale;
    return scale;
}

static void print_span(struct boot_chart *chart, const struct boot_span *span, uint64_t scale,
                       unsigned label_width)
{
    char label[BOOT_NAME_MAX + 4], time[32];
    unsigned bar = chart->style->width - label_width - TIME_WIDTH - 4;
    chart_label(span, label);
    chart_cell(chart, label, label_width);
    boot_duration(span->kind == BOOT_POINT ? span->start_ms : span_ms(span), time);
    chart_print(chart, " %*s %s ", (int)TIME_WIDTH, time, chart_mark(chart, span->result));
    chart_bar(chart, span, span->start_ms, span->end_ms, scale, bar, false);
    chart_print(chart, "\n");
    if (span->result == BOOT_OK || !span->text[0])
        return;
    chart_print(chart, "%*s", span->kind == BOOT_STEP ? 4 : 2, "");
    chart_cell(chart, span->text, chart->style->width - 5);
    while (chart->error == 0 && chart->out->data[chart->out->size - 1] == ' ')
        chart->out->data[--chart->out->size] = '\0';
    chart_print(chart, "\n");
}

/* Names as many of the slowest steps as fit on the line. */
static void print_slowest(struct boot_chart *chart, const struct boot *boot)
{
    const struct boot_span *slowest[SLOWEST];
    size_t count = boot_slowest(boot, slowest, SLOWEST), used = 0;
    char time[32], item[BOOT_NAME_MAX + 64];
    for (size_t i = 0; i < count; i++) {
        int length = snprintf(item, sizeof item, "%s%s %s", i ? ", " : "slowest: ", slowest[i]->name,
                              boot_duration(span_ms(slowest[i]), time));
        if ((used += (size_t)length) > chart->style->width)
            break;
        chart_print(chart, "%s", item);
    }
    if (count)
        chart_print(chart, "\n");
}

int boot_text(const struct boot_shown *shown, const struct boot_style *style, struct pi_buf *ret)
{
    struct boot_chart chart = {.style = style, .out = ret};
    const struct boot *boot = shown->boot;
    pi_auto_free struct boot_row *rows = NULL;
    size_t count, folded = 0;
    uint64_t scale = boot_scale_ms(boot);
    int r = boot_rows(&boot, 1, &rows, &count);
    if (r < 0)
        return r;
    unsigned label_width = chart_label_width(rows, count, 1);
    chart_head(&chart, shown);
    chart_ruler(&chart, label_width + TIME_WIDTH + 4, scale, style->width - label_width - TIME_WIDTH - 4);
    for (size_t i = 0; i < count; i++) {
        if (!style->all && is_short_row(&rows[i], 1)) {
            folded++;
            continue;
        }
        if (rows[i].spans[0]->kind != BOOT_STEP)
            print_folded(&chart, &folded);
        print_span(&chart, rows[i].spans[0], scale, label_width);
    }
    print_folded(&chart, &folded);
    print_slowest(&chart, boot);
    return chart.error;
}

/* Zero if one of the two boots lacks the step. */
static uint64_t row_difference_ms(const struct boot_row *row)
{
    if (!row->spans[0] || !row->spans[1])
        return 0;
    uint64_t a = span_ms(row->spans[0]), b = span_ms(row->spans[1]);
    return a > b ? a - b : b - a;
}

static int by_row_difference(const void *a, const void *b)
{
    uint64_t x = row_difference_ms(a), y = row_difference_ms(b);
    return x > y ? -1 : x < y;
}

static void print_difference(struct boot_chart *chart, const struct boot_row *row)
{
    char text[32], signed_text[40] = "";
    bool less = span_ms(row->spans[1]) < span_ms(row->spans[0]);
    if (row->spans[0] && row->spans[1])
        snprintf(signed_text, sizeof signed_text, "%s%s", row_difference_ms(row) ? (less ? "-" : "+") : "",
                 boot_duration(row_difference_ms(row), text));
    chart_print(chart, " %*s  ", (int)TIME_WIDTH + 1, signed_text);
}

static void print_pair(struct boot_chart *chart, const struct boot_row *row, uint64_t scale,
                       unsigned label_width)
{
    char label[BOOT_NAME_MAX + 4], time[32];
    unsigned bar = (chart->style->width - label_width - 3 * (TIME_WIDTH + 3) - 3) / 2;
    const struct boot_span *either = row->spans[0] ? row->spans[0] : row->spans[1];
    chart_label(either, label);
    if (chart->style->by_difference)
        snprintf(label, sizeof label, "%s", either->name);
    chart_cell(chart, label, label_width);
    for (size_t k = 0; k < 2; k++) {
        const struct boot_span *span = row->spans[k];
        chart_print(chart, " %*s %s", (int)TIME_WIDTH, span ? boot_duration(span_ms(span), time) : "-",
                    span ? chart_mark(chart, span->result) : " ");
    }
    print_difference(chart, row);
    for (size_t k = 0; k < 2; k++) {
        const struct boot_span *span = row->spans[k];
        if (span)
            chart_bar(chart, span, 0, span_ms(span), scale, bar, k == 0);
        else if (k == 0)
            chart_print(chart, "%*s", (int)bar, "");
        if (k == 0)
            chart_print(chart, " ");
    }
    chart_print(chart, "\n");
}

/* A moment takes no time, so two boots are compared by when it came. */
static void use_times_of_points(struct boot_row *rows, size_t count, struct boot_span *points, size_t max)
{
    size_t used = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < 2; k++) {
            const struct boot_span *span = rows[i].spans[k];
            if (!span || span->kind != BOOT_POINT || used == max)
                continue;
            points[used] = *span;
            points[used].kind = BOOT_PHASE;
            points[used].start_ms = 0;
            rows[i].spans[k] = &points[used++];
        }
}

int boot_text_compare(const struct boot_shown shown[2], const struct boot_style *style, struct pi_buf *ret)
{
    struct boot_chart chart = {.style = style, .out = ret};
    struct boot_span points[6]; /* a boot has at most three */
    pi_auto_free struct boot_row *rows = NULL;
    size_t count, folded = 0;
    uint64_t scale = 0;
    int r = boot_rows((const struct boot *const[]){shown[0].boot, shown[1].boot}, 2, &rows, &count);
    if (r < 0)
        return r;
    use_times_of_points(rows, count, points, 6);
    for (size_t i = 0; i < 2 * count; i++)
        scale = span_ms(rows[i / 2].spans[i % 2]) > scale ? span_ms(rows[i / 2].spans[i % 2]) : scale;
    unsigned label_width = chart_label_width(rows, count, 2);
    if (style->by_difference)
        qsort(rows, count, sizeof *rows, by_row_difference);
    for (size_t k = 0; k < 2; k++) {
        chart_print(&chart, "%c  ", "AB"[k]);
        chart_head(&chart, &shown[k]);
    }
    chart_print(&chart, "%*s %*s   %*s   %*s\n", (int)label_width, "", (int)TIME_WIDTH, "A", (int)TIME_WIDTH,
                "B", (int)TIME_WIDTH, "B-A");
    for (size_t i = 0; i < count; i++) {
        const struct boot_span *either = rows[i].spans[0] ? rows[i].spans[0] : rows[i].spans[1];
        if (!style->all && is_short_row(&rows[i], 2)) {
            folded++;
            continue;
        }
        if (either->kind != BOOT_STEP && !style->by_difference)
            print_folded(&chart, &folded);
        print_pair(&chart, &rows[i], scale, label_width);
    }
    print_folded(&chart, &folded);
    return chart.error;
}
