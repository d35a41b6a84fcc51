/* SPDX-License-Identifier: MIT */
#include "agent/seed/yaml_tabs.h"

#include <stdbool.h>
#include <string.h>

static void next_character(struct seed_tabs *tabs)
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

static bool is_before(const struct seed_tabs *tabs, size_t index)
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

/* In plain text, a '#' that follows a bracket or a quote does not begin a comment. */
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
                       "use spaces: YAML allows tabs only in quoted text",
                       "a tab: cloud-init drops the whole file");
}

/* Checks text that is neither quoted nor in a block, up to index or to one of the characters of stop. stop is
 * NULL for plain text. */
static void check_unquoted(struct seed_tabs *tabs, size_t index, const char *stop)
{
    while (is_before(tabs, index) && !(stop && at_any(tabs, stop))) {
        if (comment_begins(tabs, !stop)) {
            while (is_before(tabs, index) && !at_any(tabs, "\r\n"))
                next_character(tabs);
            continue;
        }
        if (at_any(tabs, "\t"))
            tab_told(tabs);
        next_character(tabs);
    }
}

/* A scalar's event starts at its anchor or tag. The header of a block ends with its line. */
static void scalar_pass(struct seed_tabs *tabs, const yaml_event_t *event)
{
    size_t end = event->end_mark.index;
    switch (event->data.scalar.style) {
    case YAML_SINGLE_QUOTED_SCALAR_STYLE:
        check_unquoted(tabs, end, "'");
        break;
    case YAML_DOUBLE_QUOTED_SCALAR_STYLE:
        check_unquoted(tabs, end, "\"");
        break;
    case YAML_LITERAL_SCALAR_STYLE:
    case YAML_FOLDED_SCALAR_STYLE:
        check_unquoted(tabs, end, "|>");
        check_unquoted(tabs, end, "\r\n");
        break;
    default:
        check_unquoted(tabs, end, NULL);
    }
    while (is_before(tabs, end))
        next_character(tabs);
}

void seed_tabs_event(struct seed_tabs *tabs, const yaml_event_t *event)
{
    check_unquoted(tabs, event->start_mark.index, "");
    if (event->type == YAML_SCALAR_EVENT)
        scalar_pass(tabs, event);
    else
        check_unquoted(tabs, event->end_mark.index, "");
}
