/* SPDX-License-Identifier: MIT */
/* Shared by the files of the schema's check: its state, and how it tells findings. */
#ifndef PIAGENT_SEED_SCHEMA_RUN_H
#define PIAGENT_SEED_SCHEMA_RUN_H

#include <jansson.h>
#include <stdbool.h>

#include "agent/seed/findings.h"
#include "agent/seed/yaml_tree.h"

/* How far a value is from what a schema allows; 0 = it is allowed. If a value may have several forms, the
 * user probably meant the nearest one. So a wrong type weighs more than a missing key. */
enum seed_distance {
    SEED_NEAR = 1,     /* a key too few, too many or unknown */
    SEED_FAR = 10,     /* an unknown word */
    SEED_OTHER = 1000, /* another type */
};

struct seed_schema_run {
    const json_t *definitions;
    struct seed_findings *findings; /* NULL = compute only the distance */
    size_t *steps;                  /* steps left: a bound, because aliases multiply the work */
};

/* A value and its place. */
struct seed_place {
    const struct seed_node *node; /* no alias */
    char path[96];                /* for people: "users[0].name"; ends in "?" if it was too long */
};

/* The types that a schema allows, as bits of enum seed_type. */
unsigned seed_schema_types(const struct seed_schema_run *run, const json_t *schema);

/* Each adds a finding, unless run->findings is NULL. */
void seed_tell_type(const struct seed_schema_run *run, const json_t *schema, const struct seed_place *place,
                    unsigned wanted);
void seed_tell_word(const struct seed_schema_run *run, const json_t *words, const struct seed_place *place);
void seed_tell_unknown(const struct seed_schema_run *run, const json_t *properties,
                       const struct seed_node *key, const char *path);
void seed_tell_deprecated(const struct seed_schema_run *run, const json_t *schema,
                          const struct seed_place *place);
void seed_tell(const struct seed_schema_run *run, const struct seed_place *place, const char *remedy,
               const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Checks a text further: look is "hash", "ssh-key" or "mode". */
void seed_look(const struct seed_schema_run *run, const char *look, const struct seed_place *place);

#endif
