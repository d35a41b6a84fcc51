/* SPDX-License-Identifier: MIT */
/* Pieces of a chart of text. Private to this folder. */
#ifndef PIAGENT_BOOT_CHART_H
#define PIAGENT_BOOT_CHART_H

#include "agent/boot/boot.h"

/* The lines of a chart are written to out; error keeps the first failure, after which nothing is. */
struct boot_chart {
    const struct boot_style *style;
    struct pi_buf *out;
    int error;
};

void chart_print(struct boot_chart *chart, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Text in exactly width columns: cut, or filled with blanks. */
void chart_cell(struct boot_chart *chart, const char *text, unsigned width);

/* A bar from start to end of 0..scale within width columns, in eighths of a column where the style has UTF-8;
 * a moment is a mark. Blanks behind it are left out unless fill. */
void chart_bar(struct boot_chart *chart, const struct boot_span *span, uint64_t start, uint64_t end,
               uint64_t scale, unsigned width, bool fill);

/* The times that the columns of a bar stand for. */
void chart_ruler(struct boot_chart *chart, unsigned indent, uint64_t scale, unsigned width);

/* "web: boot 2 of 2026-11-24 11:58:03, ready after 52.4s" */
void chart_head(struct boot_chart *chart, const struct boot_shown *shown);

/* " ", "!", and the like: what a result is without colours. */
const char *chart_mark(const struct boot_chart *chart, enum boot_result result);

/* "  config-ssh": as it stands below its stage. */
void chart_label(const struct boot_span *span, char ret[BOOT_NAME_MAX + 4]);

/* Columns that the longest label of these rows takes, within bounds. */
unsigned chart_label_width(const struct boot_row *rows, size_t count, size_t boots);

#endif
