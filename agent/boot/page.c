/* SPDX-License-Identifier: MIT */
/* Fills the boots into page.html, which the build puts into the program. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/base/auto.h"
#include "agent/boot/boot_list.h"

extern const unsigned char boot_page_template[]; /* NUL-terminated */

/* Adds text for an element or a quoted attribute. */
static int html_escape(struct pi_buf *out, const char *text)
{
    static const char *const entities[] = {
        ['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;", ['"'] = "&quot;", ['\''] = "&#39;"};
    int r = 0;
    for (; r == 0 && *text; text++) {
        unsigned char c = (unsigned char)*text;
        const char *entity = c < PI_ARRAY_SIZE(entities) ? entities[c] : NULL;
        r = entity ? pi_buf_puts(out, entity) : pi_buf_add(out, text, 1);
    }
    return r;
}

/* JSON as the text of a script element. Only its strings can hold the characters that would end or begin an element. */
static int html_data(struct pi_buf *out, const struct boot_shown *shown, size_t count)
{
    json_auto_t *value = boot_json(shown, count);
    pi_auto_free char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    int r = text ? 0 : -ENOMEM;
    for (const char *s = text; r == 0 && *s; s++)
        r = strchr("<>&", *s) ? pi_buf_printf(out, "\\u%04x", *s) : pi_buf_add(out, s, 1);
    return r;
}

static int html_title(struct pi_buf *out, const struct boot_shown *shown, size_t count)
{
    int r = pi_buf_puts(out, "Boot of ");
    for (size_t i = 0; r == 0 && i < count; i++) {
        r = i ? pi_buf_puts(out, i + 1 < count ? ", " : " and ") : 0;
        if (r == 0)
            r = html_escape(out, shown[i].name);
    }
    return r;
}

static int html_row(struct pi_buf *out, const struct boot_span *span)
{
    char start[32], took[32];
    int r = pi_buf_printf(out, "<tr class=\"%s\"><th scope=\"row\">", boot_kind_names[span->kind]);
    if (r == 0)
        r = html_escape(out, span->name);
    if (r == 0)
        r = pi_buf_printf(
            out, "</th><td>%s</td><td>%s</td><td>%s</td><td>", boot_duration(span->start_ms, start),
            boot_duration(span->end_ms - span->start_ms, took), boot_result_names[span->result]);
    if (r == 0)
        r = html_escape(out, span->text);
    return r < 0 ? r : pi_buf_puts(out, "</td></tr>\n");
}

static int html_table(struct pi_buf *out, const struct boot_shown *shown)
{
    const struct boot *boot = shown->boot;
    char took[32];
    int r = pi_buf_puts(out, "<table><caption>");
    if (r == 0)
        r = html_escape(out, shown->name);
    if (r == 0)
        r = pi_buf_printf(
            out,
            ", boot %u: %s after %s</caption>\n<thead><tr><th scope=\"col\">Step</th><th scope=\"col\">Begins</th>"
            "<th scope=\"col\">Takes</th><th scope=\"col\">Result</th><th scope=\"col\">What was said</th></tr></thead>\n<tbody>\n",
            boot->number, boot_outcome_names[boot->outcome], boot_duration(boot->total_ms, took));
    for (size_t i = 0; r == 0 && i < boot->count; i++)
        r = html_row(out, &boot->spans[i]);
    return r < 0 ? r : pi_buf_puts(out, "</tbody></table>\n");
}

static int html_tables(struct pi_buf *out, const struct boot_shown *shown, size_t count)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < count; i++)
        r = html_table(out, &shown[i]);
    return r;
}

/* Replaces the template's {{nonce}}, {{title}}, {{data}} and {{tables}}; it has no others. */
int boot_page(const struct boot_shown *shown, size_t count, const char *nonce, struct pi_buf *ret)
{
    const char *rest = (const char *)boot_page_template;
    int r = 0;
    for (const char *mark; r == 0 && (mark = strstr(rest, "{{")); rest = strstr(mark, "}}") + 2) {
        r = pi_buf_add(ret, rest, (size_t)(mark - rest));
        if (r < 0)
            return r;
        if (!strncmp(mark, "{{nonce}}", 9))
            r = pi_buf_puts(ret, nonce);
        else if (!strncmp(mark, "{{title}}", 9))
            r = html_title(ret, shown, count);
        else if (!strncmp(mark, "{{data}}", 8))
            r = html_data(ret, shown, count);
        else
            r = html_tables(ret, shown, count);
    }
    return r < 0 ? r : pi_buf_puts(ret, rest);
}
