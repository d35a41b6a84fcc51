/* SPDX-License-Identifier: MIT */
/* Tabs that libyaml takes and PyYAML, by which cloud-init reads, does not: there the whole file is dropped.
 */
#ifndef PIAGENT_SEED_YAML_TABS_H
#define PIAGENT_SEED_YAML_TABS_H

#include <stddef.h>
#include <yaml.h>

#include "agent/seed/findings.h"

/* How far a text was looked at. Set data, size and findings; the rest starts as zeros. */
struct seed_tabs {
    const char *data;
    size_t size;
    struct seed_findings *findings;
    size_t offset, index; /* of the next character, in bytes and in characters as libyaml counts them */
    size_t line, column;  /* from 0 */
    size_t told;          /* the line, from 1, of the last tab that was told */
};

/* Looks at the text up to the end of the event, which follows those that were given before: adds an error for
 * each line with a tab that is not within quotes, a comment or a block of text. */
void seed_tabs_event(struct seed_tabs *tabs, const yaml_event_t *event);

#endif
