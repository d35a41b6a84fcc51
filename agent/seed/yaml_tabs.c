/* SPDX-License-Identifier: MIT */
#include "agent/seed/yaml_tabs.h"

#include <stdbool.h>
#include <string.h>

static void step(struct seed_tabs *tabs)
{
    const char *at = tabs->data + tabs->offset, *end = tabs->data + tabs->size;
    bool breaks = *at == '\n' || (*at == '\r' && (at + 1 == end || at[1] != '\n'));
    for (at++; at < end && ((unsigned char)*at & 0xc0) == 0x80;)
        at++;
    tabs->offset = (size_t)(at - tabs->data);
    tabs->index++;
    tabs->line += breaks;
    tabs->column = breaks ? 0 : tabs->column + 1;
}

static bool before(const struct seed_tabs *tabs, size_t index)
{
    return tabs->index < index && tabs->offset < tabs->size;
}

static bool is_any(char c, const char *set)
{
    return c && strchr(set, c);
}

static bool at_any(const struct seed_tabs *tabs, const char *set)
{
    return is_any(tabs->data[tabs->offset], set);
}

/* Plain text goes on behind a bracket or quote, and so does its '#'. */
static bool comment_begins(const struct seed_tabs *tabs, bool plain)
{
    const char *ends = plain ? " \t\r\n" : " \t\r\n,[]{}\"'";
    size_t at = tabs->offset;
    return tabs->data[at] == '#' && (at == 0 || is_any(tabs->data[at - 1], ends));
}

static void tab_told(struct seed_tabs *tabs)
{
    if (tabs->told == tabs->line + 1)
        return;
    tabs->told = tabs->line + 1;
    seed_findings_addf(tabs->findings, SEED_ERROR, tabs->line + 1, tabs->column + 1, NULL,
                       "YAML takes spaces only, but for text in quotes",
                       "a tab, at which cloud-init drops the whole file");
}

/* Over what is no quoted text and no block's, up to index or one of the characters of stop. stop NULL: over
 * plain text. */
static void pass(struct seed_tabs *tabs, size_t index, const char *stop)
{
    while (before(tabs, index) && !(stop && at_any(tabs, stop))) {
        if (comment_begins(tabs, !stop)) {
            while (before(tabs, index) && !at_any(tabs, "\r\n"))
                step(tabs);
            continue;
        }
        if (at_any(tabs, "\t"))
            tab_told(tabs);
        step(tabs);
    }
}

/* A scalar's event starts at its anchor or tag, and a block's header ends with its line. */
static void scalar_pass(struct seed_tabs *tabs, const yaml_event_t *event)
{
    size_t end = event->end_mark.index;
    switch (event->data.scalar.style) {
    case YAML_SINGLE_QUOTED_SCALAR_STYLE:
        pass(tabs, end, "'");
        break;
    case YAML_DOUBLE_QUOTED_SCALAR_STYLE:
        pass(tabs, end, "\"");
        break;
    case YAML_LITERAL_SCALAR_STYLE:
    case YAML_FOLDED_SCALAR_STYLE:
        pass(tabs, end, "|>");
        pass(tabs, end, "\r\n");
        break;
    default:
        pass(tabs, end, NULL);
    }
    while (before(tabs, end))
        step(tabs);
}

void seed_tabs_event(struct seed_tabs *tabs, const yaml_event_t *event)
{
    pass(tabs, event->start_mark.index, "");
    if (event->type == YAML_SCALAR_EVENT)
        scalar_pass(tabs, event);
    else
        pass(tabs, event->end_mark.index, "");
}
