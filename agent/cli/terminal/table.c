/* SPDX-License-Identifier: MIT */
#include "agent/cli/terminal/table.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/text.h"

#define CELL_MAX 1024

struct libscols_table *cli_table_new(const struct cli_column *columns, bool headless)
{
    struct libscols_table *table = scols_new_table();
    if (!table)
        return NULL;
    scols_table_enable_noheadings(table, headless);
    scols_table_enable_colors(table, cli_colours(STDOUT_FILENO));
    for (; columns->head; columns++) {
        int flags = columns->fit == CLI_RIGHT      ? SCOLS_FL_RIGHT
                    : columns->fit == CLI_SHORTENS ? SCOLS_FL_TRUNC
                                                   : 0;
        if (!scols_table_new_column(table, columns->head, 0, flags)) {
            scols_unref_table(table);
            return NULL;
        }
    }
    return table;
}

int cli_table_add(struct libscols_table *table, const char *const *cells, enum cli_colour colour)
{
    struct libscols_line *line = scols_table_new_line(table, NULL);
    if (!line)
        return -ENOMEM;
    for (size_t i = 0; i < scols_table_get_ncols(table); i++) {
        char clean[CELL_MAX];
        pi_text_clean(cells[i] ? cells[i] : "-", cells[i] ? strlen(cells[i]) : 1, clean, sizeof clean);
        if (scols_line_set_data(line, i, clean) != 0)
            return -ENOMEM;
    }
    /* libsmartcols does not take an empty text as a colour. */
    const char *sequence = cli_colour(STDOUT_FILENO, colour);
    return colour && *sequence && scols_line_set_color(line, sequence) ? -ENOMEM : 0;
}

int cli_table_print(struct libscols_table *table, struct pi_error *err)
{
    int r = scols_print_table(table);
    return r < 0 ? pi_fail(err, -r, "cannot write the table") : 0;
}

int cli_json_print(const json_t *value, struct pi_error *err)
{
    /* ASCII on a terminal: JSON itself allows C1 controls and characters that change the direction of text.
     * */
    size_t flags = isatty(STDOUT_FILENO) ? JSON_INDENT(2) | JSON_ENSURE_ASCII : JSON_COMPACT;
    if (json_dumpf(value, stdout, flags) < 0 || putchar('\n') == EOF)
        return pi_fail(err, errno, "cannot write the output");
    return 0;
}

int cli_json_line(FILE *out, const json_t *value)
{
    errno = EIO;
    if (value && json_dumpf(value, out, JSON_COMPACT | JSON_ENSURE_ASCII) == 0 && fputc('\n', out) != EOF &&
        fflush(out) == 0)
        return 0;
    return -errno;
}

const char *cli_json_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

char *cli_age(uint64_t since_ms, char ret[static 32])
{
    uint64_t now = pi_realtime_ms();
    return since_ms && now > since_ms ? pi_duration_format(now - since_ms, ret) : NULL;
}
