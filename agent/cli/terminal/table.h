/* SPDX-License-Identifier: MIT */
/* Tables on standard output through libsmartcols, and JSON. */
#ifndef PIAGENT_CLI_TABLE_H
#define PIAGENT_CLI_TABLE_H

#include <jansson.h>
#include <libsmartcols.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "agent/base/error.h"
#include "agent/cli/terminal/colour.h"

enum cli_fit {
    CLI_LEFT,
    CLI_RIGHT,    /* numbers */
    CLI_SHORTENS, /* cut if the terminal is narrow */
};

struct cli_column {
    const char *head;
    enum cli_fit fit;
};

/* An empty table; headless = no line of heads. columns ends with a NULL head. NULL without memory. */
struct libscols_table *cli_table_new(const struct cli_column *columns, bool headless);

static inline void cli_table_unref(struct libscols_table **table)
{
    scols_unref_table(*table);
}
#define pi_auto_table __attribute__((cleanup(cli_table_unref)))

/* Adds a row of cells, as many as there are columns; they are cleaned, NULL is shown as "-". colour is
 * the row's. 0 or -ENOMEM. */
int cli_table_add(struct libscols_table *table, const char *const *cells, enum cli_colour colour);

/* Prints it. */
int cli_table_print(struct libscols_table *table, struct pi_error *err);

/* Prints the value, indented on a terminal and on one line elsewhere. */
int cli_json_print(const json_t *value, struct pi_error *err);

/* Prints the value on a line of its own, at once and in ASCII; NULL prints nothing. 0 or -errno. */
int cli_json_line(FILE *out, const json_t *value);

/* The text at the key, or "" if there is none. Borrowed. */
const char *cli_json_text(const json_t *object, const char *key);

/* How long ago that was, or NULL if it was never or is yet to come. */
char *cli_age(uint64_t since_ms, char ret[static 32]);

#endif
