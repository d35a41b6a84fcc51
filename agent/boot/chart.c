/* SPDX-License-Identifier: MIT */
#include "agent/boot/chart.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"

#define LABEL_MIN 20u
#define LABEL_MAX 34u
#define TICK_MIN  9u /* columns from one time on the ruler to the next */

void chart_print(struct boot_chart *chart, const char *format, ...)
{
    pi_auto_free char *text = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    if (chart->error == 0)
        chart->error = n < 0 ? -ENOMEM : pi_buf_puts(chart->out, text);
}

static unsigned text_columns(const char *text)
{
    unsigned n = 0;
    for (; *text; text += pi_utf8_length(text, strlen(text)))
        n++;
    return n;
}

void chart_cell(struct boot_chart *chart, const char *text, unsigned width)
{
    unsigned have = text_columns(text);
    if (have <= width) {
        chart_print(chart, "%s%*s", text, (int)(width - have), "");
        return;
    }
    const char *end = text, *dots = chart->style->utf8 ? "…" : "~";
    for (unsigned i = 0; i + 1 < width; i++)
        end += pi_utf8_length(end, strlen(end));
    chart_print(chart, "%.*s%s", (int)(end - text), text, dots);
}

static const char *span_colour(const struct boot_chart *chart, const struct boot_span *span)
{
    static const char *const results[] = {
        [BOOT_OK] = "\033[32m",   [BOOT_WARN] = "\033[33m",  [BOOT_FAIL] = "\033[31m",
        [BOOT_RUNS] = "\033[36m", [BOOT_NO_END] = "\033[2m",
    };
    if (!chart->style->colours)
        return "";
    return span->kind == BOOT_PHASE && span->result == BOOT_OK ? "\033[34m" : results[span->result];
}

/* One column of a bar, covered from the eighth `from` to the eighth `to`. Unicode has all characters that grow from the
 * left, and few that grow from the right. */
static const char *bar_block(const struct boot_chart *chart, unsigned from, unsigned to)
{
    static const char *const left[] = {"▏", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"};
    if (!chart->style->utf8)
        return to - from >= 4 ? "#" : "|";
    if (from == 0 || to < 8)
        return left[to - from];
    return from >= 6 ? "▕" : from >= 3 ? "▐" : "█";
}

/* In eighths of a column. If scale is 0, everything is at the beginning. */
static unsigned column_eighth(uint64_t ms, uint64_t scale, unsigned width)
{
    double share = scale ? (double)(ms < scale ? ms : scale) / (double)scale : 0;
    return (unsigned)(share * width * 8 + 0.5);
}

void chart_bar(struct boot_chart *chart, const struct boot_span *span, uint64_t start, uint64_t end,
               uint64_t scale, unsigned width, bool fill)
{
    unsigned from = column_eighth(start, scale, width), to = column_eighth(end, scale, width);
    if (from >= width * 8)
        from = width * 8 - 1;
    if (to <= from)
        to = from + 1;
    unsigned first = from / 8, last = (to - 1) / 8;
    chart_print(chart, "%*s%s", (int)first, "", span_colour(chart, span));
    if (span->kind == BOOT_POINT) {
        chart_print(chart, "%s", chart->style->utf8 ? "◆" : "*");
        last = first;
    }
    for (unsigned i = first; i <= last && span->kind != BOOT_POINT; i++)
        chart_print(chart, "%s", bar_block(chart, i == first ? from % 8 : 0, i == last ? to - 8 * i : 8));
    chart_print(chart, "%s%*s", chart->style->colours ? "\033[0m" : "", fill ? (int)(width - 1 - last) : 0,
                "");
}

static uint64_t ruler_step_ms(uint64_t scale, unsigned width)
{
    static const uint64_t seconds[] = {1,   2,   5,    10,   15,   30,    60,    120,
                                       300, 600, 1800, 3600, 7200, 21600, 43200, 86400};
    for (size_t i = 0; i < PI_ARRAY_SIZE(seconds); i++)
        if ((double)seconds[i] * 1000 / (double)scale * width >= TICK_MIN)
            return seconds[i] * 1000;
    return scale / 2 + 1;
}

void chart_ruler(struct boot_chart *chart, unsigned indent, uint64_t scale, unsigned width)
{
    uint64_t step = ruler_step_ms(scale ? scale : 1, width);
    unsigned column = 0;
    chart_print(chart, "%*s%s", (int)indent, "", chart->style->colours ? "\033[2m" : "");
    for (uint64_t at = 0; at <= scale; at += step) {
        char label[32], text[40];
        unsigned wanted = column_eighth(at, scale, width) / 8;
        boot_duration(at, label);
        char *tenths = strstr(label, ".0s");
        if (tenths)
            memcpy(tenths, "s", 2);
        int n = snprintf(text, sizeof text, "%s%s", chart->style->utf8 ? "╷" : "|", label);
        unsigned takes = (unsigned)n - (chart->style->utf8 ? 2 : 0);
        if (wanted < column || wanted + takes > width)
            continue;
        chart_print(chart, "%*s%s", (int)(wanted - column), "", text);
        column = wanted + takes;
    }
    chart_print(chart, "%s\n", chart->style->colours ? "\033[0m" : "");
}

void chart_head(struct boot_chart *chart, const struct boot_shown *shown)
{
    static const char *const outcomes[] = {
        [BOOT_READY] = "ready after",
        [BOOT_FAILED] = "failed after",
        [BOOT_PANICKED] = "kernel panicked after",
        [BOOT_STUCK] = "stuck after",
        [BOOT_SILENT] = "silent after",
        [BOOT_ENDED] = "ended after",
        [BOOT_BOOTING] = "booting for",
    };
    const struct boot *boot = shown->boot;
    char when[64] = "", took[32], until[32];
    time_t at = (time_t)(boot->began_ms / 1000);
    struct tm local;
    if (localtime_r(&at, &local))
        strftime(when, sizeof when, "%F %T", &local);
    chart_print(chart, "%s: boot %u, %s%s, %s %s", shown->name, boot->number, when,
                boot->why[0] ? "" : " (its beginning is not in the journal)", outcomes[boot->outcome],
                boot_duration(boot->total_ms, took));
    if (boot->outcome_text[0])
        chart_print(chart, ": %s", boot->outcome_text);
    if (boot->stopped_ms)
        chart_print(chart, "; %s after %s", boot->stopped_text, boot_duration(boot->stopped_ms, until));
    chart_print(chart, "\n");
    if (boot->dropped)
        chart_print(chart, "the guest sent %zu more reports, which are not shown\n", boot->dropped);
}

const char *chart_mark(const struct boot_chart *chart, enum boot_result result)
{
    static const char *const marks[2][5] = {{" ", "!", "X", ">", "?"}, {" ", "!", "✗", "▸", "?"}};
    return marks[chart->style->utf8][result];
}

void chart_label(const struct boot_span *span, char ret[BOOT_NAME_MAX + 4])
{
    const char *slash = span->kind == BOOT_STEP ? strchr(span->name, '/') : NULL;
    snprintf(ret, BOOT_NAME_MAX + 4, "%s%s", slash ? "  " : "", slash ? slash + 1 : span->name);
}

unsigned chart_label_width(const struct boot_row *rows, size_t count, size_t boots)
{
    unsigned width = LABEL_MIN;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < boots; k++) {
            char label[BOOT_NAME_MAX + 4];
            if (!rows[i].spans[k])
                continue;
            chart_label(rows[i].spans[k], label);
            width = text_columns(label) > width ? text_columns(label) : width;
        }
    return width < LABEL_MAX ? width : LABEL_MAX;
}
