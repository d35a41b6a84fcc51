/* SPDX-License-Identifier: MIT */
/* Pieces of a chart of text. Private to this folder. */
#ifndef PIAGENT_BOOT_CHART_H
#define PIAGENT_BOOT_CHART_H

#include "agent/boot/boot_list.h"

/* The lines of a chart go to out. error keeps the first failure; after it nothing is written. */
struct boot_chart {
    const struct boot_style *style;
    struct pi_buf *out;
    int error;
};

void chart_print(struct boot_chart *chart, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Writes text in exactly width columns: it is cut, or filled with blanks. */
void chart_cell(struct boot_chart *chart, const char *text, unsigned width);

/* A bar from start to end of 0..scale in width columns, in eighths of a column if the style has UTF-8. A moment is
 * one character. Blanks follow it if fill. */
void chart_bar(struct boot_chart *chart, const struct boot_span *span, uint64_t start, uint64_t end,
               uint64_t scale, unsigned width, bool fill);

/* The line of times above the bars. */
void chart_ruler(struct boot_chart *chart, unsigned indent, uint64_t scale, unsigned width);

/* "web: boot 2 of 2026-11-24 11:58:03, ready after 52.4s" */
void chart_head(struct boot_chart *chart, const struct boot_shown *shown);

/* The character that tells a result without colours: " ", "!" ... */
const char *chart_mark(const struct boot_chart *chart, enum boot_result result);

/* "  config-ssh": a step is indented below its stage. */
void chart_label(const struct boot_span *span, char ret[BOOT_NAME_MAX + 4]);

/* The columns that the longest label of these rows needs, within bounds. */
unsigned chart_label_width(const struct boot_row *rows, size_t count, size_t boots);

#endif
