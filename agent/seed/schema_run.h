/* SPDX-License-Identifier: MIT */
/* Between the files of the schema's check: what a check carries along, and what it says. */
#ifndef PIAGENT_SEED_SCHEMA_RUN_H
#define PIAGENT_SEED_SCHEMA_RUN_H

#include <jansson.h>
#include <stdbool.h>

#include "agent/seed/findings.h"
#include "agent/seed/yaml_tree.h"

/* How far a value is from what a schema takes: 0 = it is taken. Of several forms that a value may have, the
 * nearest is the one that was meant, so that a wrong type weighs more than a missing key. */
enum seed_distance {
    SEED_NEAR = 1,     /* a key too few, too many or unknown */
    SEED_FAR = 10,     /* a word that is not one of those that are known */
    SEED_OTHER = 1000, /* another type */
};

struct seed_schema_run {
    const json_t *definitions;
    struct seed_findings *findings; /* NULL = only the distance is asked for */
    size_t *steps;                  /* that are left: aliases can be many */
};

/* A value and its place. */
struct seed_place {
    const struct seed_node *node; /* no alias */
    char path[96];                /* as people read it: "users[0].name"; ends in "?" where it is longer */
};

/* The types that a schema takes, as bits of enum seed_type. */
unsigned seed_schema_types(const struct seed_schema_run *run, const json_t *schema);

/* Each adds a finding, unless the run has none to add to. */
void seed_tell_type(const struct seed_schema_run *run, const json_t *schema, const struct seed_place *place,
                    unsigned wanted);
void seed_tell_word(const struct seed_schema_run *run, const json_t *words, const struct seed_place *place);
void seed_tell_unknown(const struct seed_schema_run *run, const json_t *properties,
                       const struct seed_node *key, const char *path);
void seed_tell_deprecated(const struct seed_schema_run *run, const json_t *schema,
                          const struct seed_place *place);
void seed_tell(const struct seed_schema_run *run, const struct seed_place *place, const char *remedy,
               const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Looks at a text beyond its type: "hash", "ssh-key" or "mode". */
void seed_look(const struct seed_schema_run *run, const char *look, const struct seed_place *place);

#endif
