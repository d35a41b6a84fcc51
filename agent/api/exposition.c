/* SPDX-License-Identifier: MIT */
#include "agent/api/exposition.h"

#include <stdbool.h>
#include <string.h>

/* Adds text with an escape for each backslash, newline and quote. */
static int add_label_value(struct pi_buf *ret, const char *text)
{
    int r = 0;
    while (r == 0 && *text) {
        size_t plain = strcspn(text, "\\\"\n");
        r = pi_buf_add(ret, text, plain);
        text += plain;
        if (r == 0 && *text)
            r = pi_buf_printf(ret, "\\%c", *text == '\n' ? 'n' : *text);
        text += *text != '\0';
    }
    return r;
}

static int add_labels(struct pi_buf *ret, const struct api_label *labels)
{
    bool first = true;
    int r = pi_buf_puts(ret, "{");
    for (; r == 0 && labels->name; labels++) {
        if (!labels->value)
            continue;
        r = pi_buf_printf(ret, "%s%s=\"", first ? "" : ",", labels->name);
        if (r == 0)
            r = add_label_value(ret, labels->value);
        if (r == 0)
            r = pi_buf_puts(ret, "\"");
        first = false;
    }
    return r == 0 ? pi_buf_puts(ret, "}") : r;
}

int api_metric_family(struct pi_buf *ret, const char *name, const char *type, const char *help)
{
    return pi_buf_printf(ret, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* 15 digits show every whole number of bytes up to a petabyte, and milliseconds of a date. */
int api_metric_sample(struct pi_buf *ret, const char *name, const struct api_label *labels, double value)
{
    int r = pi_buf_puts(ret, name);
    if (r == 0 && labels)
        r = add_labels(ret, labels);
    return r == 0 ? pi_buf_printf(ret, " %.15g\n", value) : r;
}
