/* SPDX-License-Identifier: MIT */
/* Finds tabs that libyaml accepts and PyYAML rejects: cloud-init, which uses PyYAML, then drops the whole
 * file. */
#ifndef PIAGENT_SEED_YAML_TABS_H
#define PIAGENT_SEED_YAML_TABS_H

#include <stddef.h>
#include <yaml.h>

#include "agent/seed/findings.h"

/* How far a text was checked. Set data, size and findings; the rest starts as zeros. */
struct seed_tabs {
    const char *data;
    size_t size;
    struct seed_findings *findings;
    size_t offset, index; /* of the next character, in bytes and in characters as libyaml counts them */
    size_t line, column;  /* from 0 */
    size_t told;          /* the line, from 1, of the last finding */
};

/* Checks the text up to the end of the event; call it for each event, in order. Adds an error for each line
 * with a tab outside quotes, comments and blocks of text. */
void seed_tabs_event(struct seed_tabs *tabs, const yaml_event_t *event);

#endif
