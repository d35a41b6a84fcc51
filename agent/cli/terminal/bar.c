/* SPDX-License-Identifier: MIT */
#include "agent/cli/terminal/bar.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"
#include "agent/cli/terminal/colour.h"

#define BAR_MIN  10
#define BAR_MAX  40
#define NAME_MIN 8

static size_t step_bar(const char *s)
{
    size_t n = pi_utf8_length(s, strlen(s));
    return n ? n : 1;
}

unsigned cli_columns(const char *text)
{
    unsigned n = 0;
    for (; text && *text && *text != '\n'; text += step_bar(text))
        n++;
    return n;
}

int cli_fit(const char *text, unsigned width, struct pi_buf *ret)
{
    if (cli_columns(text) <= width)
        return pi_buf_puts(ret, text);
    const char *end = text;
    for (unsigned n = 1; n < width; n++)
        end += step_bar(end);
    int r = pi_buf_add(ret, text, (size_t)(end - text));
    return r < 0 || width == 0 ? r : pi_buf_puts(ret, cli_is_utf8() ? "…" : ">");
}

/* " 45%  213 MiB of 480 MiB  12.3 MiB/s  22.0s left": what is known of it. */
static int numbers(const struct image_progress *p, struct pi_buf *ret)
{
    char done[32], total[32], rate[32], left[32];
    int r;
    if (p->total_bytes)
        r = pi_buf_printf(ret, "%3.0f%%  %s of %s", 100.0 * (double)p->done_bytes / (double)p->total_bytes,
                          pi_size_format(p->done_bytes, done), pi_size_format(p->total_bytes, total));
    else
        r = pi_buf_puts(ret, pi_size_format(p->done_bytes, done));
    if (r == 0 && p->rate_bytes_per_s)
        r = pi_buf_printf(ret, "  %s/s", pi_size_format(p->rate_bytes_per_s, rate));
    if (r == 0 && p->rate_bytes_per_s && p->total_bytes > p->done_bytes) {
        uint64_t seconds = (p->total_bytes - p->done_bytes) / p->rate_bytes_per_s;
        r = pi_buf_printf(ret, "  %s left", pi_duration_format(seconds * 1000, left));
    }
    return r;
}

static int draw_bar(const struct image_progress *p, unsigned size, struct pi_buf *ret)
{
    uint64_t done = p->done_bytes < p->total_bytes ? p->done_bytes : p->total_bytes;
    unsigned filled = (unsigned)((double)done / (double)p->total_bytes * size);
    int r = pi_buf_puts(ret, "[");
    for (unsigned i = 0; r == 0 && i < size; i++)
        r = pi_buf_puts(ret, i < filled ? "#" : "-");
    return r < 0 ? r : pi_buf_puts(ret, "]  ");
}

int cli_render_image(const struct image_progress *p, unsigned width, struct pi_buf *ret)
{
    pi_auto_buf struct pi_buf line = {0}, tail = {0};
    char name[sizeof p->name];
    pi_text_clean(p->name, strlen(p->name), name, sizeof name);
    bool counted = p->done_bytes || p->total_bytes;
    int r = p->phase == IMAGE_DOWNLOADING ? 0 : pi_buf_printf(&line, "%s ", image_phase_names[p->phase]);
    if (r == 0 && counted)
        r = numbers(p, &tail);
    unsigned others = cli_columns(line.data) + (counted ? cli_columns(tail.data) + 2 : 0);
    if (r == 0)
        r = cli_fit(name, width > others + NAME_MIN ? width - others : NAME_MIN, &line);
    if (r == 0 && counted)
        r = pi_buf_puts(&line, "  ");
    if (r < 0)
        return r;
    unsigned used = cli_columns(line.data) + (counted ? cli_columns(tail.data) : 0) + 4;
    if (p->total_bytes && width >= used + BAR_MIN)
        r = draw_bar(p, width - used < BAR_MAX ? width - used : BAR_MAX, &line);
    if (r == 0 && counted)
        r = pi_buf_puts(&line, tail.data);
    return r < 0 ? r : cli_fit(line.data, width, ret);
}

int cli_image_step(const struct image_progress *p, struct pi_buf *ret)
{
    char name[sizeof p->name], size[32];
    int r = pi_buf_printf(ret, "%s %s", image_phase_names[p->phase],
                          pi_text_clean(p->name, strlen(p->name), name, sizeof name));
    if (r == 0 && p->total_bytes)
        r = pi_buf_printf(ret, ", %s", pi_size_format(p->total_bytes, size));
    return r;
}
