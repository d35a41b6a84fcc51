/* SPDX-License-Identifier: MIT */
#include "agent/seed/pyyaml_check.h"

#include <stdbool.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"

#define TAG_PREFIX "tag:yaml.org,2002:"

static void step(struct seed_pyyaml *pyyaml)
{
    const char *at = pyyaml->data + pyyaml->offset, *end = pyyaml->data + pyyaml->size;
    bool breaks = *at == '\n' || (*at == '\r' && (at + 1 == end || at[1] != '\n'));
    for (at++; at < end && ((unsigned char)*at & 0xc0) == 0x80;)
        at++;
    pyyaml->offset = (size_t)(at - pyyaml->data);
    pyyaml->index++;
    pyyaml->line += breaks;
    pyyaml->column = breaks ? 0 : pyyaml->column + 1;
}

static bool before(const struct seed_pyyaml *pyyaml, size_t index)
{
    return pyyaml->index < index && pyyaml->offset < pyyaml->size;
}

static bool is_any(char c, const char *set)
{
    return c && strchr(set, c);
}

static bool at_any(const struct seed_pyyaml *pyyaml, const char *set)
{
    return is_any(pyyaml->data[pyyaml->offset], set);
}

/* Plain text goes on behind a bracket or quote, and so does its '#'. */
static bool comment_begins(const struct seed_pyyaml *pyyaml, bool plain)
{
    const char *ends = plain ? " \t\r\n" : " \t\r\n,[]{}\"'";
    size_t at = pyyaml->offset;
    return pyyaml->data[at] == '#' && (at == 0 || is_any(pyyaml->data[at - 1], ends));
}

static void tab_told(struct seed_pyyaml *pyyaml)
{
    if (pyyaml->told == pyyaml->line + 1)
        return;
    pyyaml->told = pyyaml->line + 1;
    seed_findings_addf(pyyaml->findings, SEED_ERROR, pyyaml->line + 1, pyyaml->column + 1, NULL,
                       "YAML takes spaces only, but for text in quotes",
                       "a tab, at which cloud-init drops the whole file");
}

/* Over what is no quoted text and no block's, up to index or one of the characters of stop. stop NULL: over
 * plain text. */
static void pass(struct seed_pyyaml *pyyaml, size_t index, const char *stop)
{
    while (before(pyyaml, index) && !(stop && at_any(pyyaml, stop))) {
        if (comment_begins(pyyaml, !stop)) {
            while (before(pyyaml, index) && !at_any(pyyaml, "\r\n"))
                step(pyyaml);
            continue;
        }
        if (at_any(pyyaml, "\t"))
            tab_told(pyyaml);
        step(pyyaml);
    }
}

/* A scalar's event starts at its anchor or tag, and a block's header ends with its line. */
static void scalar_pass(struct seed_pyyaml *pyyaml, const yaml_event_t *event)
{
    size_t end = event->end_mark.index;
    switch (event->data.scalar.style) {
    case YAML_SINGLE_QUOTED_SCALAR_STYLE:
        pass(pyyaml, end, "'");
        break;
    case YAML_DOUBLE_QUOTED_SCALAR_STYLE:
        pass(pyyaml, end, "\"");
        break;
    case YAML_LITERAL_SCALAR_STYLE:
    case YAML_FOLDED_SCALAR_STYLE:
        pass(pyyaml, end, "|>");
        pass(pyyaml, end, "\r\n");
        break;
    default:
        pass(pyyaml, end, NULL);
    }
    while (before(pyyaml, end))
        step(pyyaml);
}

static const char *tag_of(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return (const char *)event->data.scalar.tag;
    case YAML_MAPPING_START_EVENT:
        return (const char *)event->data.mapping_start.tag;
    case YAML_SEQUENCE_START_EVENT:
        return (const char *)event->data.sequence_start.tag;
    default:
        return NULL;
    }
}

/* SafeConstructor's, and the one that cloud-init adds (safeyaml.py). "!" alone changes nothing. */
static bool tag_known(const char *tag)
{
    static const char *const known[] = {"null",  "bool", "int", "float", "binary", "timestamp",     "omap",
                                        "pairs", "set",  "str", "seq",   "map",    "python/unicode"};
    if (strcmp(tag, "!") == 0)
        return true;
    for (size_t i = 0; pi_starts_with(tag, TAG_PREFIX) && i < PI_ARRAY_SIZE(known); i++)
        if (strcmp(tag + strlen(TAG_PREFIX), known[i]) == 0)
            return true;
    return false;
}

void seed_pyyaml_event(struct seed_pyyaml *pyyaml, const yaml_event_t *event)
{
    pass(pyyaml, event->start_mark.index, "");
    if (event->type == YAML_SCALAR_EVENT)
        scalar_pass(pyyaml, event);
    else
        pass(pyyaml, event->end_mark.index, "");
    const char *tag = tag_of(event);
    if (tag && !tag_known(tag))
        seed_findings_addf(pyyaml->findings, SEED_ERROR, event->start_mark.line + 1,
                           event->start_mark.column + 1, NULL, "text that starts with '!' needs quotes",
                           "the tag '%.64s', at which cloud-init drops the whole file", tag);
}
